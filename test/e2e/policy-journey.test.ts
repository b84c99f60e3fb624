import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { emptyFolder, lemma } from '../cli/lemma.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { type Agent, type Serving, serving } from '../support/serving.ts';
import { eventually } from '../support/waiting.ts';

const POLICIES = fileURLToPath(new URL('../../policies', import.meta.url));
const HIGH = 'policies/high/data.json';

interface Impact {
  readonly counts: Readonly<Record<string, number>>;
  readonly changes: readonly { readonly decision_id: string }[];
}

/** An author's repository, and the service that his policies are for: each step is a command that a person or a CI job gives. */
describe('the journey of a policy', function () {
  this.timeout(4 * PATIENT_MS);
  let folder: ReturnType<typeof emptyFolder>;
  let service: Serving;
  let agent: Agent;
  let denied: string;
  let revision: string;

  const at = (...path: string[]) => join(folder.path, ...path);
  const policy = async <T>(...args: string[]) => {
    const { code, out, err } = await lemma(folder.path, ['policy', ...args, '--json']);
    assert.notEqual(out, '', err);
    return { code, ...(JSON.parse(out) as { error_code: string | null; data: T }) };
  };
  const there = () => ['--api-base', service.controlBase, '--data', at('service/.lemma')];
  const edit = (from: string, to: string) => {
    const before = readFileSync(at(HIGH), 'utf8');
    assert.notEqual(before.replace(from, to), before);
    writeFileSync(at(HIGH), before.replace(from, to));
  };
  /** A change without possession of the key: high risk denies it. */
  const unproven = async () => service.grpc({ ...agent.reading(), method: 'PUT' });
  const decidedBy = async (id: string) => {
    const { body } = await service.control(`/api/wallet/runtimes/decisions/${id}/explain`);
    return body.explanation as {
      bundle: { revision: string } | null;
      evaluated_again: { equal: boolean } | null;
    };
  };

  before(async function () {
    if (!wasmBuilt()) this.skip();
    folder = emptyFolder();
    cpSync(POLICIES, at('policies'), { recursive: true });
    mkdirSync(at('service'));
    service = await serving(at('service'));
    agent = await service.onboard('bot');
    await service.grpc(agent.reading());
    await service.grpc(agent.writing());
    denied = (await unproven()).decisionId;
  });
  after(async () => {
    await service?.end('SIGTERM');
    folder?.remove();
  });

  it('begins with a change that CI stops, as it would newly allow a decision that was denied', async () => {
    edit('"OPTIONS"', '"OPTIONS", "PUT"');
    const impact = ['impact', '--since', '1h', '--fail-on', 'newly-allowed', ...there()];
    const { code, error_code, data } = await policy<Impact>(...impact);
    assert.deepEqual([code, error_code], [1, 'newly_allowed']);
    assert.deepEqual(
      data.changes.map((change) => change.decision_id),
      [denied],
    );
  });

  it('goes on with its mend, which changes no decision', async () => {
    edit(', "PUT"', '');
    edit('5000', '4000');
    const { code, data } = await policy<Impact>(
      'impact',
      '--since',
      '1h',
      '--fail-on',
      'newly-allowed',
      ...there(),
    );
    assert.deepEqual([code, data.changes, data.counts.same], [0, [], 3]);
  });

  it('is built, signed and published, and shadows what is decided', async () => {
    const key = at('service/.lemma/keys/bundle.key');
    const built = await policy<{ bundles: { name: string; revision: string }[] }>(
      ...['build', '--out', 'bundles', '--sign-key', key, '--serial', '50'],
    );
    revision = built.data.bundles.find(({ name }) => name === 'high')?.revision ?? '';
    assert.equal((await policy('publish', 'bundles', ...there())).code, 0);
    assert.equal((await policy('activate', '--shadow', revision, ...there())).code, 0);
    const { decisionId } = await service.grpc(agent.writing());
    await eventually(async () => (await policy<Impact>('shadow', ...there())).data.counts.same === 1);
    assert.notEqual((await decidedBy(decisionId)).bundle?.revision, revision);
  });

  it('comes into force, and is taken back', async () => {
    await policy('activate', revision, ...there());
    const under = (await service.grpc(agent.writing())).decisionId;
    assert.equal((await decidedBy(under)).bundle?.revision, revision);
    await policy('rollback', 'high', ...there());
    const after = (await service.grpc(agent.writing())).decisionId;
    assert.notEqual((await decidedBy(after)).bundle?.revision, revision);
  });

  it('leaves every decision explained as it was', async () => {
    const ids = (await service.exported()).map(
      (line) => (JSON.parse(line) as { decision_id: string }).decision_id,
    );
    const equal = await Promise.all(ids.map(async (id) => (await decidedBy(id)).evaluated_again?.equal));
    assert.deepEqual([ids.length, equal], [6, ids.map(() => true)]);
  });
});
