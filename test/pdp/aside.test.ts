import assert from 'node:assert/strict';
import { once } from 'node:events';
import { decide, type Pdp } from '../../src/pdp/decide.ts';
import { explain } from '../../src/pdp/explain.ts';
import { createEvaluationThread, QUEUE_AT_MOST } from '../../src/policy/evaluation-thread.ts';
import { PolicyRegistry } from '../../src/policy/registry.ts';
import { untraced } from '../../src/policy/tracer.ts';
import type { Decision, DecisionRecord } from '../../src/schema/decision.ts';
import { fixture, memoryArchive } from '../policy/support.ts';
import { bearing, chain } from '../support/kit.ts';
import { asked, type Composed, composed, folders, registration, times, withRun } from './support.ts';

describe('a decision whose policy is evaluated beside the event loop', () => {
  const temporary = folders();
  const archive = memoryArchive();
  let thread: ReturnType<typeof createEvaluationThread>;
  let parts: Composed;
  let pdp: Pdp;

  beforeEach(async () => {
    thread = createEvaluationThread();
    parts = await composed(temporary.make());
    const policies = new PolicyRegistry(archive, new Map(), thread);
    const bundle = fixture('hostile');
    await policies.activate([bundle], { kind: 'pinned', digests: new Set([bundle.sha256]) });
    pdp = { ...parts.pdp, policies };
  });
  afterEach(async () => {
    await thread.close();
    await parts.close();
    temporary.remove();
  });

  const ask = (query: string, links = chain()) =>
    decide(asked(bearing(links, { path: `/v1/documents/42?${query}` })), pdp);
  const runaway = (links = chain()) => ask('attack=comprehension&size=1000', links);
  /** Long, and allowed in the end. */
  const long = (links = chain()) => ask('attack=regex_nested&size=20000', links);

  async function recordOf({ decision_id }: Decision): Promise<DecisionRecord | undefined> {
    await parts.log.settled(60_000);
    return (await parts.store.recordById(decision_id, 'any')).map(
      (line) => JSON.parse(line) as DecisionRecord,
    )[0];
  }

  async function explained({ decision_id }: Decision) {
    await parts.log.settled(60_000);
    const tracer = { trace: async () => untraced('not asked for') };
    return explain(decision_id, 'any', { store: parts.store, policies: pdp.policies, archive, tracer });
  }

  it('is denied by a kill that comes meanwhile', async () => {
    const started = once(process, 'worker');
    const answer = long();
    await started;
    pdp.gate.putRuntime({
      ...registration('bot-1'),
      org: 'acme',
      env: 'prod',
      keys: null,
      status: 'killed',
      registered_at: pdp.clock(),
      taint_epoch: 0,
    });
    assert.equal((await answer).reason, 'runtime_killed');
  });

  it('gives its operation back when it is denied', async () => {
    const links = withRun(9);
    assert.equal((await runaway(links)).reason, 'policy_timeout');
    const record = await recordOf(await ask('', links));
    assert.equal(record?.input?.budget?.used, 1);
  });

  it('holds its operation while it is made', async () => {
    const links = withRun(9);
    const answer = long(links);
    const record = await recordOf(await ask('', links));
    assert.deepEqual([(await answer).verdict, record?.input?.budget?.used], ['allow', 2]);
  });

  it('explains as it was', async () => {
    for (const decision of [await runaway(), await long()]) {
      assert.equal((await explained(decision))?.evaluated_again?.equal, true, decision.reason);
    }
  });

  it('that found no room is overloaded, and explains as one that no policy was asked for', async () => {
    const decisions = await Promise.all(times(QUEUE_AT_MOST + 2, () => runaway()));
    const refused = decisions.filter(({ reason }) => reason === 'overloaded');
    const [first] = refused;
    assert.ok(first);
    assert.deepEqual((await explained(first))?.evaluated_again, null);
  });
});
