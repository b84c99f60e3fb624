import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Explanation } from '../../src/schema/explanation.ts';
import { emptyFolder } from '../cli/lemma.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { type Author, authorIn } from '../support/author.ts';
import { type Agent, type Serving, servedConfig, serving } from '../support/serving.ts';

const PROBE = `package lemma.low

deny contains "x_no_probing" if input.request.path == "/v1/documents/probe"
`;
const PROBE_TEST = `package lemma.low_probe_test

import data.lemma.fixtures_test as fixtures
import data.lemma.low

test_denies_probing if {
	request := object.union(fixtures.proven("low"), {"request": {"path": "/v1/documents/probe"}})
	"x_no_probing" in low.decision.reasons with input as request
}
`;

/**
 * A change of policies on its way, with real processes: a running service, an author's repository made by `lemma policy init`,
 * and the commands of the pipeline that it brought. The steps build on each other.
 */
describe('the journey of a change of policies', function () {
  this.timeout(4 * PATIENT_MS);
  let folder: ReturnType<typeof emptyFolder>;
  let service: Serving;
  let agent: Agent;
  let author: Author;
  /** Everything that was decided so far: its revision must explain it to the end. */
  const decided: { readonly id: string; readonly revision: string | undefined }[] = [];
  let refusedId = '';
  /** Of the bundle of `low` that is on its way. */
  let candidate = '';

  const at = (...path: string[]) => join(folder.path, ...path);
  const pipeline = (name: string): string => {
    const { steps } = parse(readFileSync(at('acme/.github/workflows/policy.yml'), 'utf8')).jobs.policy;
    return (steps as { name?: string; run?: string }[]).find((step) => step.name === name)?.run ?? '';
  };
  async function explained(id: string): Promise<Explanation> {
    const { body } = await service.control(`/api/wallet/runtimes/decisions/${id}/explain`);
    return body.explanation as Explanation;
  }
  /** A request that is decided, and remembered. */
  async function decide(request: ReturnType<Agent['reading']>) {
    const { verdict, decisionId } = await service.grpc(request);
    const { bundle } = await explained(decisionId);
    decided.push({ id: decisionId, revision: bundle?.revision });
    return { verdict, id: decisionId, revision: bundle?.revision };
  }
  const reading = () => decide(agent.reading());
  /** A change without a PoP: `high` denies it. */
  const writingAsBearer = () => decide({ ...agent.reading(), method: 'PUT' });

  /** A path that the change is about. */
  const probing = () => decide({ ...agent.reading(), path: '/v1/documents/probe' });

  /** Bundles of what lies in the repository; gives the digest of `low`. */
  async function build(serial: number): Promise<string> {
    const { data } = await author.json(
      `policy build --out build/bundles --sign-key bundle.key --serial ${serial}`,
    );
    const low = (data.bundles as { name: string; sha256: string }[]).find(({ name }) => name === 'low');
    return low?.sha256 ?? '';
  }

  before(async function () {
    if (!wasmBuilt()) this.skip();
    folder = emptyFolder();
    for (const name of ['service', 'acme']) mkdirSync(at(name));
    writeFileSync(at('service/lemma.yaml'), stringify(servedConfig()));
    service = await serving(at('service'));
    agent = await service.onboard('bot');
    author = authorIn(at('acme'), {
      LEMMA_BASE_URL: service.controlBase,
      LEMMA_OPERATOR_KEY: service.operatorKey,
    });
  });
  after(async () => {
    await service?.end('SIGTERM');
    folder?.remove();
  });

  it('begins with a repository, whose policies are published and in force', async () => {
    await author.done('lemma policy init .');
    await author.done('git init --quiet --initial-branch main && git config core.hooksPath .githooks');
    cpSync(at('service/.lemma/keys/bundle.key'), at('acme/bundle.key'));
    writeFileSync(at('acme/.gitignore'), '/build/\n/bundle.key\n');
    await build(100);
    await author.done('lemma policy publish build/bundles --activate --reason first');
    cpSync(at('acme/build/bundles'), at('acme/bundles'), { recursive: true });
    await author.done('git add --all && git commit --quiet --message "the policies in force"');
  });

  it('has decisions of real requests as its sample', async () => {
    assert.equal((await reading()).verdict, 'allow');
    const refused = await writingAsBearer();
    assert.equal(refused.verdict, 'pop_required');
    refusedId = refused.id;
    await author.done('lemma decisions export --records-only --out decisions.ndjson');
    await author.done('git add --all && git commit --quiet --message "a sample of decisions"');
  });

  it('is a change that passes check and tests, and that the hook lets through', async () => {
    await author.done('git switch --quiet --create faster-writes');
    author.edit('policies/high/data.json', '"GET", "HEAD", "OPTIONS"', '"GET", "HEAD", "OPTIONS", "PUT"');
    await author.done('git commit --quiet --all --message "PUT is only reading"');
    for (const step of ['Format', 'Check', 'Test', 'Build']) await author.done(pipeline(step));
  });

  it('is stopped in the pipeline: what it would newly allow is named by decision id', async () => {
    const { code } = await author.sh(pipeline('Impact'));
    const report = readFileSync(at('acme/build/impact.md'), 'utf8');
    assert.equal(code, 1);
    assert.match(report, /1 newly allowed/);
    assert.ok(report.includes(refusedId), report);
  });

  it('is mended, and passes', async () => {
    author.edit('policies/high/data.json', ', "PUT"', '');
    author.write('policies/low/probe.rego', PROBE);
    author.write('policies/low/probe_test.rego', PROBE_TEST);
    await author.done('git add --all && git commit --quiet --message "Nobody probes"');
    for (const step of ['Format', 'Check', 'Test', 'Build', 'Impact']) await author.done(pipeline(step));
    assert.match(readFileSync(at('acme/build/impact.md'), 'utf8'), /No decision changes/);
    await author.done('git switch --quiet main && git merge --quiet faster-writes');
  });

  it('is published: nothing of it is in force', async () => {
    candidate = await build(101);
    await author.done('lemma policy publish build/bundles --reason "nobody probes"');
    const { verdict, revision } = await reading();
    assert.deepEqual([verdict, revision], ['allow', decided[0]?.revision]);
  });

  it('is a shadow: what it would deny is counted and named, and answers stay', async () => {
    await author.done(`lemma policy activate --shadow ${candidate}`);
    const { verdict, id } = await probing();
    assert.equal(verdict, 'allow');
    assert.deepEqual(await shadowChanges(), [['newly_denied', id]]);
    await author.done('lemma policy shadow --off');
  });

  /** The shadow reads the log after the answers: asked until it has come to something. */
  async function shadowChanges(): Promise<string[][]> {
    for (;;) {
      const { data } = await author.json('policy shadow');
      const changes = data.changes as { kind: string; decision_id: string }[];
      if (changes.length > 0) return changes.map(({ kind, decision_id }) => [kind, decision_id]);
    }
  }

  it('is activated, and decides the next request', async () => {
    await author.done(`lemma policy activate ${candidate} --reason "reviewed"`);
    const { verdict, revision } = await probing();
    assert.equal(verdict, 'x_no_probing');
    assert.notEqual(revision, decided[0]?.revision);
  });

  it('is rolled back, and the next request is decided as before', async () => {
    await author.done('lemma policy rollback low --reason "a probe is needed"');
    const { verdict, revision } = await probing();
    assert.deepEqual([verdict, revision], ['allow', decided[0]?.revision]);
    const { data } = await author.json('policy history --profile low');
    const acts = (data.acts as Record<string, { act: string; reason: string }[]>).low ?? [];
    assert.deepEqual(
      acts.map(({ act, reason }) => `${act}: ${reason}`),
      ['rollback: a probe is needed', 'activate: reviewed', 'activate: first'],
    );
  });

  it('leaves every earlier decision explained, equal to what was recorded, by the revision that made it', async () => {
    assert.ok(decided.length >= 5);
    for (const { id, revision } of decided) {
      const { evaluated_again, bundle } = await explained(id);
      assert.deepEqual([evaluated_again?.equal, bundle?.revision], [true, revision], id);
    }
  });

  it('goes on by itself once the branch is the source', async () => {
    const source = { source: 'git+file:../acme#main', every: '1s' };
    writeFileSync(at('service/lemma.yaml'), stringify({ ...servedConfig(), bundles: source }));
    const commit = (await author.done('git rev-parse HEAD')).out.trim();
    await service.noted(/^Configuration reloaded/);
    const { verdict, revision } = await probing();
    assert.deepEqual([verdict, revision], ['x_no_probing', `low-${commit.slice(0, 12)}-102`]);
    const [earlier] = decided;
    assert.equal((await explained(earlier?.id ?? '')).evaluated_again?.equal, true);
  });
});
