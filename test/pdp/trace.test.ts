import assert from 'node:assert/strict';
import type { Explanation } from '../../src/schema/explanation.ts';
import { emptyFolder, lemma } from '../cli/lemma.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { bearing, chain, request } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';
import { folders, publish, told } from './support.ts';

const NO_COMPILER = { artefact: '/nowhere/opa.wasm.zst', opa: '/nowhere/opa' };

/** Allowed, denied by the policy, and denied before it. */
const empty = bearing(chain(), { method: 'PUT', headers: [['content-length', '0']] });

describe('the trace of a decision', function () {
  this.timeout(PATIENT_MS);
  const temporary = folders();
  let service: Running;
  after(() => temporary.remove());

  const decided = async (one: ReturnType<typeof request>) => (await service.grpc(one)).decisionId;
  const explainByCommand = (id: string, ...flags: string[]) => {
    const base = ['--api-base', `http://${service.app.addresses.control}`];
    const env = { LEMMA_OPERATOR_KEY: service.operatorKey };
    return lemma(service.folder, ['decisions', 'explain', id, ...base, ...flags], env);
  };

  describe('with the compiler at hand', () => {
    before(async function () {
      if (!wasmBuilt()) return this.skip();
      service = await running({ folder: temporary.make(), compiler: { engine: 'wasm' } });
    });
    after(() => service?.stop());

    for (const [what, one, verdict] of [
      ['an allow', bearing(chain()), 'allow'],
      ['a denial', empty, 'deny'],
    ] as const) {
      it(`comes to the recorded result of ${what}`, async () => {
        const { trace, ...explanation } = await service.explain(await decided(one), 'full');
        assert.deepEqual([explanation.verdict, trace?.equal, trace?.error], [verdict, true, null]);
      });
    }

    it('names the lines of the Rego that failed', async () => {
      const { trace } = await service.explain(await decided(empty), 'fails');
      assert.match(
        trace?.lines.join('\n') ?? '',
        /^lemma\/high\/decision\.rego:\d+ .*Fail .*possession_proven$/m,
      );
    });

    it('is not made unless it is asked for', async () => {
      assert.equal((await service.explain(await decided(empty))).trace, null);
    });

    it('says that there is none of a check', async () => {
      const { trace } = await service.explain(await decided(request()), 'fails');
      assert.match(trace?.error ?? '', /^a check decided, before any policy/);
    });

    it('is shown by the command', async () => {
      const { code, out } = await explainByCommand(await decided(empty), '--trace');
      assert.equal(code, 0);
      assert.match(out, /^ {2}trace {4}OPA 1\.\d+\.\d+: the recorded result\n {11}query:1 .*Enter/m);
      assert.doesNotMatch(out, / Eval /);
    });

    it('is shown by the command with every step', async () => {
      assert.match((await explainByCommand(await decided(empty), '--full-trace')).out, / Eval /);
    });

    it('is of the revision of then, after another one was activated', async () => {
      const earlier = await decided(bearing(chain()));
      await service.reload({ bundles: await publish(temporary.make(), told, { serial: 3 }) });
      const later = await decided(bearing(chain(), { path: '/v1/documents/42?tell=x_own' }));
      const files: string[][] = [];
      for (const id of [earlier, later]) {
        const { trace } = await service.explain(id, 'full');
        assert.deepEqual([trace?.equal, trace?.error], [true, null]);
        files.push(
          ['decision', 'told'].filter((name) => trace?.lines.some((line) => line.includes(`/${name}.rego:`))),
        );
      }
      assert.deepEqual(files, [['decision'], ['told']]);
      const { out } = await explainByCommand(earlier);
      assert.match(out, /^ {2}today {4}revision low-3, which is active now \(the policy alone, /m);
    });

    it('gives the rules as a document, what decided first', async () => {
      const { trace } = await service.explain(await decided(empty), 'rules');
      assert.deepEqual([trace?.equal, trace?.traced, trace?.error, trace?.lines], [true, 'equal', null, []]);
      const told = trace?.rules?.map(({ outcome, gives, at }) => [outcome, gives ?? at.text]);
      assert.deepEqual(told?.[0], ['fired', '"pop_required"']);
      const near = trace?.rules?.find(({ path }) => path === 'data.lemma.high.lib.possession_proven');
      assert.deepEqual([near?.outcome, near?.would?.allow], ['nearly', true]);
    });

    it('shows the rules by the command, with the values beneath', async () => {
      const { code, out } = await explainByCommand(await decided(empty));
      assert.equal(code, 0);
      assert.match(out, /^ {2}fired {3}data\.lemma\.high\.deny gives "pop_required"$/m);
      assert.match(out, /^ {2}\d+ │ reading if input\.request\.method in settings\.reading_methods$/m);
      assert.match(out, /^ {5}│ +└ input\.request\.method = "PUT"$/m);
      assert.match(out, /^ {5}= had it held, the policy would have allowed$/m);
      assert.match(out, /^ {2}state {4}runtime bot-1 is active; taint epoch 0, of the proof 0$/m);
      assert.match(out, /^ {2}today {4}the same revision is active$/m);
    });

    it('is shown by the command as Markdown', async () => {
      const { out } = await explainByCommand(await decided(empty), '--markdown');
      assert.match(out, /^### Fired: `data\.lemma\.high\.deny` gives `"pop_required"`$/m);
    });

    it('shows no secret in its rules', async () => {
      const one = bearing(chain(), {
        method: 'PUT',
        headers: [
          ['content-length', '0'],
          ['authorization', 'Bearer sekret-authorization'],
          ['cookie', 'session=sekret-cookie'],
        ],
      });
      const { trace } = await service.explain(await decided(one), 'rules');
      assert.ok((trace?.rules?.length ?? 0) > 0);
      assert.doesNotMatch(JSON.stringify(trace), /sekret/);
    });

    it('leaves decisions alone while one runs away', async () => {
      await service.reload({ bundles: await publish(temporary.make(), told, { serial: 3 }) });
      const endless = await decided(bearing(chain(), { path: '/v1/documents/42?tell=loop' }));
      const tracing = service.explain(endless, 'full');
      let pending = true;
      void tracing.finally(() => {
        pending = false;
      });
      const verdicts = new Set<string>();
      for (let i = 0; i < 20; i++)
        verdicts.add((await service.grpc(bearing(chain(), { path: '/v1/documents/42?tell=allow' }))).verdict);
      assert.deepEqual([pending, [...verdicts]], [true, ['allow']]);
      const { trace, evaluated_again } = await tracing;
      assert.match(trace?.error ?? '', /did not end within 5 s|more than 512 MB/);
      assert.deepEqual([trace?.equal, evaluated_again?.equal], [null, true]);
    });
  });

  describe('without a compiler', () => {
    const folder = emptyFolder();
    before(async () => {
      service = await running({ folder: folder.path, compiler: NO_COMPILER });
    });
    after(async () => {
      await service.stop();
      folder.remove();
    });

    const rest = ({ trace: _trace, ...explanation }: Explanation) => explanation;

    it('is one sentence that says what to do, and the rest is as ever', async () => {
      const id = await decided(empty);
      const explanation = await service.explain(id, 'fails');
      assert.deepEqual([explanation.trace?.lines, explanation.trace?.equal], [[], null]);
      assert.match(
        explanation.trace?.error ?? '',
        /^The policy compiler is not there: [^.]+ 1\.26\), or [^.]+\.x on the PATH\.$/,
      );
      assert.deepEqual(rest(explanation), rest(await service.explain(id)));
    });

    it('leaves the command with exit code 0', async () => {
      const { code, out, err } = await explainByCommand(await decided(empty), '--trace');
      assert.deepEqual([code, err], [0, '']);
      assert.match(out, /equal, byte for byte\n {2}trace {4}The policy compiler is not there/);
    });
  });
});
