import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CompilerOptions } from '../../src/policy/compiler/compiler.ts';
import { createTracer, type Tracer, type TracerOptions } from '../../src/policy/tracer.ts';
import { MANIFEST_FILE } from '../../src/schema/bundle.ts';
import { findOpa } from '../../tools/bundles/opa.ts';
import { stockOpa } from '../support/opa.ts';
import { PATIENT_MS, wasmBuilt } from './compiler/support.ts';
import { ALLOWED, bytes, fixture, withFile } from './support.ts';

const probe = fixture('probe');
const input = (document: object) => JSON.stringify(document);
const answer = input({ answer: ALLOWED });
const DENIED = { allow: false, reason: 'policy_denied', reasons: ['policy_denied'] };

/** Processes of the compiler that this one has started. */
function children(): number {
  const all = execFileSync('ps', ['-A', '-o', 'ppid=,args='], { encoding: 'utf8' });
  const own = new RegExp(`^ *${process.pid} .*compiler/host\\.ts`);
  return all.split('\n').filter((line) => own.test(line)).length;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(20);
}

/** Loops `size` times over itself, three deep; without one it decides at once. */
const LOOPS = `package lemma.low

default decision := {"allow": true, "reason": "allowed", "reasons": []}

decision := {"allow": true, "reason": "allowed", "reasons": []} if {
	many := numbers.range(1, input.size)
	count([1 | some a in many; some b in many; some c in many; (a + b) + c < 0]) == 0
}
`;
const looping = withFile(probe, 'lemma/low/probe.rego', bytes(LOOPS));

describe('the tracer', function () {
  this.timeout(PATIENT_MS);
  let tracer: Tracer;
  afterEach(() => tracer?.close());

  function open(options: TracerOptions = {}): Tracer {
    tracer = createTracer({ timeLimitMs: PATIENT_MS, ...options });
    return tracer;
  }

  it('says what to do where there is no compiler', async () => {
    const compiler = { artefact: '/nowhere/opa.wasm.zst', opa: '/nowhere/opa' };
    const { evaluator, lines, error } = await open({ compiler }).trace(probe, answer, 'full');
    assert.deepEqual([evaluator, lines], [null, []]);
    assert.match(error ?? '', /^The policy compiler is not there: build it with `npm run compiler`/);
  });

  it('does not hand over more than the event loop bears', async () => {
    const large = withFile(probe, 'lemma/low/more.rego', bytes(`# ${'x'.repeat(2 << 20)}`));
    const { error } = await open().trace(large, answer, 'full');
    assert.match(error ?? '', /^more than 2097152 bytes/);
  });

  it('says so of a bundle without Rego', async () => {
    const [rego = ''] = [...probe.files.keys()].filter((path) => path.endsWith('.rego'));
    const { error } = await open().trace(withFile(probe, rego, null), answer, 'rules');
    assert.equal(error, 'the bundle holds no Rego, only what was compiled of it');
  });

  describe('of rules', () => {
    before(function () {
      if (!wasmBuilt()) this.skip();
    });

    it("gives what became of each, and the policy's answer", async () => {
      const { clauses, lines, value, error } = await open().trace(probe, answer, 'rules');
      assert.deepEqual([lines, value, error], [[], ALLOWED, null]);
      assert.deepEqual(clauses?.[0]?.path, 'data.lemma.low.decision');
    });

    it('says what would be as the contract does, of a policy behind an adapter', async () => {
      const { manifest } = probe;
      const { reasons: _, ...meta } = manifest.metadata.lemma;
      const lemma = { ...meta, adapter: 'opa-envoy', profile: 'low', envoy: true };
      const adapted = withFile(
        withFile(probe, MANIFEST_FILE, bytes({ ...manifest, metadata: { ...manifest.metadata, lemma } })),
        'lemma/low/probe.rego',
        bytes('package lemma.low\n\ndefault decision := false\n\ndecision if input.answer == 1\n'),
      );
      const { clauses, value } = await open().trace(adapted, input({ answer: 2 }), 'rules');
      assert.deepEqual([value, clauses?.[0]?.would], [DENIED, ALLOWED]);
    });

    it('ends with a bound on steps, and traces the next', async () => {
      open();
      const { error, clauses } = await tracer.trace(looping, input({ size: 10_000 }), 'rules');
      assert.equal(clauses, null);
      assert.match(error ?? '', /more than 200000 steps|more than 512 MB/);
      assert.equal((await tracer.trace(probe, answer, 'rules')).error, null);
    });
  });

  for (const engine of ['wasm', 'native'] as const) {
    describe(`with the ${engine} compiler`, () => {
      let compiler: CompilerOptions;

      before(async function () {
        this.timeout(300_000);
        if (engine === 'wasm' ? !wasmBuilt() : (await stockOpa()) === null) return this.skip();
        compiler = engine === 'wasm' ? { engine } : { engine, opa: await findOpa() };
      });

      it("gives OPA's lines and the policy's answer", async () => {
        const { evaluator, lines, value, cut, error } = await open({ compiler }).trace(probe, answer, 'full');
        assert.deepEqual([value, cut, error], [ALLOWED, false, null]);
        assert.match(evaluator ?? '', /^OPA 1\./);
        assert.match(lines.join('\n'), /^lemma\/low\/probe\.rego:\d+ .*Enter data\.lemma\.low\.decision$/m);
      });

      it('gives only what failed where that is asked for', async () => {
        const { lines } = await open({ compiler }).trace(looping, input({ size: 2 }), 'fails');
        assert.deepEqual(
          lines.filter((line) => / (?:Eval|Exit|Index) /.test(line)),
          [],
        );
      });

      it('cuts what is long', async () => {
        const many = input({ size: 8 });
        const { lines, cut, value, error } = await open({ compiler }).trace(looping, many, 'full');
        assert.deepEqual([lines.length, cut, value, error], [2000, true, ALLOWED, null]);
      });

      it('refuses an answer that is too large', async () => {
        const document = input({ answer: { ...ALLOWED, message: 'x'.repeat(1 << 20) }, more: '' });
        const twice = withFile(
          probe,
          'lemma/low/probe.rego',
          bytes('package lemma.low\n\ndecision := [input.answer, input.answer, input.answer]\n'),
        );
        const { error } = await open({ compiler }).trace(twice, document, 'fails');
        assert.equal(error, 'evaluation gave more than 2097152 bytes');
      });

      it('lets Rego call nothing that a bundle may not', async () => {
        const rego = 'package lemma.low\n\ndecision := http.send({"method": "get", "url": input.url})\n';
        const calling = withFile(probe, 'lemma/low/probe.rego', bytes(rego));
        const { lines, error } = await open({ compiler }).trace(
          calling,
          input({ url: 'http://127.0.0.1:9' }),
          'full',
        );
        assert.deepEqual([lines, error], [[], 'undefined function http.send']);
      });

      it('ends one that runs away, and traces the next', async () => {
        const endless = input({ size: 10_000 });
        open({ compiler, timeLimitMs: 2000 });
        const { error, lines } = await tracer.trace(looping, endless, 'full');
        assert.deepEqual(lines, []);
        assert.match(error ?? '', /did not end within 2 s|more than 512 MB/);
        assert.equal((await tracer.trace(looping, input({}), 'fails')).error, null);
      });

      it('lets a few wait, and refuses the rest', async () => {
        open({ compiler });
        const all = await Promise.all(Array.from({ length: 6 }, () => tracer.trace(probe, answer, 'fails')));
        assert.deepEqual(
          all.map(({ error }) => error),
          [null, null, null, null, null, 'other traces are being made, and some wait: ask again in a moment'],
        );
      });

      it('makes none once it is closed', async () => {
        await open({ compiler }).close();
        const { error } = await tracer.trace(probe, answer, 'fails');
        assert.equal(error, 'the service is stopping');
      });
    });
  }

  describe('leaves no process behind', () => {
    before(function () {
      if (!wasmBuilt()) this.skip();
    });

    it('once it idles', async () => {
      open({ idleMs: 2_000 });
      await tracer.trace(probe, answer, 'fails');
      assert.equal(children(), 1);
      await until(() => children() === 0);
      assert.equal((await tracer.trace(probe, answer, 'fails')).error, null);
    });

    it('when it is closed in the middle of a trace', async () => {
      const endless = input({ size: 10_000 });
      const under_way = open().trace(looping, endless, 'fails');
      await until(() => children() === 1);
      await tracer.close();
      assert.match((await under_way).error ?? '', /closed|broke off/);
      assert.equal(children(), 0);
    });
  });
});
