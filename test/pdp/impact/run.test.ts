import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { type ImpactOptions, runImpact } from '../../../src/pdp/impact/run.ts';
import type { Bundle } from '../../../src/policy/bundle.ts';
import { loadEmbedded } from '../../../src/policy/embedded.ts';
import { compileEngine, type Engine } from '../../../src/policy/engine.ts';
import { MANIFEST_FILE } from '../../../src/schema/bundle.ts';
import type { RecordBody } from '../../../src/schema/decision.ts';
import type { PolicyInput } from '../../../src/schema/input.ts';
import { allowedInput, bytes, fixture, inputError, withFile } from '../../policy/support.ts';
import { told } from '../support.ts';
import { inChunks, recordedLine } from './recorded.ts';

type Told = Partial<PolicyInput> & { readonly answer?: unknown };

/**
 * Lines as the service writes them, by the told policy (it answers what the query's `tell` says) and by the default one.
 * Either is the other's candidate.
 */
describe('the impact of a candidate on recorded decisions', () => {
  let byTold: Engine;
  let byLow: Engine;
  let low: Bundle;
  let high: Bundle;

  before(async () => {
    const embedded = await loadEmbedded();
    const named = (name: string) => embedded.find((bundle) => bundle.name === name) as Bundle;
    [low, high] = [named('low'), named('high')];
    [byTold, byLow] = await Promise.all([compileEngine(told), compileEngine(low)]);
  });

  function input(tell: string, over: Told = {}): PolicyInput {
    const base = allowedInput('low') as unknown as PolicyInput;
    return { ...base, request: { ...base.request, query: { tell: [tell] } }, ...over };
  }
  const line = (n: number, tell: string, over: Partial<RecordBody> = {}) =>
    recordedLine(n, byTold, input(tell), over);
  const byDefault = (n: number, tell: string, over: Told = {}) => recordedLine(n, byLow, input(tell, over));
  const stale = {
    freshness: { age_ms: 60_000, source: 'lease', confirmed: false, epoch: 1, seq: 9 },
  } as const;

  const impactOf = (lines: readonly string[], candidate: Bundle, over: Partial<ImpactOptions> = {}) =>
    runImpact({
      lines: inChunks(lines),
      candidates: [candidate],
      bundleOf: async (sha256) => [told, low, high].find((bundle) => bundle.sha256 === sha256) ?? null,
      threads: 1,
      ...over,
    });
  const withMeta = (bundle: Bundle, over: Record<string, unknown>) => {
    const { manifest } = bundle;
    const lemma = { ...manifest.metadata.lemma, ...over };
    return withFile(bundle, MANIFEST_FILE, bytes({ ...manifest, revision: 'other', metadata: { lemma } }));
  };

  it('says where each change is: decision, route, runtime, and the rule that decides no more', async () => {
    const { counts, changes, groups } = await impactOf([line(1, 'allow'), line(2, 'x_own')], low);
    const [change] = changes;
    const ids = [change?.decision_id];
    assert.deepEqual([counts.same, counts.newly_allowed, changes.length], [1, 1, 1]);
    assert.match(change?.decision_id ?? '', /2$/);
    assert.deepEqual([change?.was.reason, change?.now.reason], ['x_own', 'allowed']);
    assert.deepEqual(
      [groups.rule, groups.route, groups.runtime].map(([group]) => [group?.name, group?.decision_ids]),
      [
        ['x_own', ids],
        ['documents.read', ids],
        ['bot-1', ids],
      ],
    );
  });

  it('names a rule with its place in the Rego of the bundle that it is of', async () => {
    const { groups } = await impactOf([byDefault(1, 'allow', stale)], told);
    assert.match(groups.rule[0]?.name ?? '', /^freshness_stale \(lemma\/low\/decision\.rego:\d+\)$/);
  });

  const headers = { allow: true, reason: 'allowed', reasons: [], headers: { a: 'b' } };
  const KINDS: readonly (readonly [
    kind: string,
    what: string,
    line: () => string,
    candidate: () => Bundle,
  ])[] = [
    ['newly_allowed', 'a denial', () => byDefault(1, 'allow', stale), () => told],
    ['newly_allowed', 'a failure', () => line(1, 'nothing'), () => low],
    ['newly_denied', 'an allow', () => byDefault(1, 'x_own'), () => told],
    ['reason_changed', 'a denial', () => byDefault(1, 'x_own', stale), () => told],
    ['error', 'an allow, by no answer', () => byDefault(1, 'nothing'), () => told],
    ['error', 'an allow, by too many steps', () => byDefault(1, 'loop'), () => told],
    ['effects_changed', 'an allow', () => byDefault(1, '', { answer: headers }), () => fixture('probe')],
  ];
  for (const [kind, what, recorded, candidate] of KINDS) {
    it(`tells what becomes of ${what}: ${kind}`, async () => {
      const { changes } = await impactOf([recorded()], candidate());
      assert.deepEqual(
        changes.map((change) => change.kind),
        [kind],
      );
    });
  }

  it('takes a failure for the same where the candidate fails in the same way', async () => {
    const again = withMeta(told, {});
    const { counts, reproduced, groups } = await impactOf([line(1, 'nothing'), line(2, 'loop')], again);
    assert.deepEqual([counts.same, reproduced.equal], [2, 2]);
    assert.deepEqual(groups, { route: [], runtime: [], rule: [] });
  });

  it('compares nothing where a decision does not give its recorded result, and says which', async () => {
    const altered = line(2, 'x_own').replace('"result":{"allow":false', '"result":{"allow":true');
    const { counts, changes, groups, reproduced } = await impactOf([line(1, 'x_own'), altered], low);
    assert.deepEqual([reproduced.equal, reproduced.not_equal], [1, 1]);
    assert.match(reproduced.differing[0]?.decision_id ?? '', /2$/);
    assert.deepEqual([changes, groups.rule, counts.newly_allowed], [[], [], 0]);
  });

  it('does not take an altered input for one that reproduces', async () => {
    const altered = line(1, 'x_own').replace('"tell":["x_own"]', '"tell":["x_other"]');
    assert.equal((await impactOf([altered], low)).reproduced.not_equal, 1);
  });

  const failed = { check: 'overloaded', message: 'too much waits', facts: {} } as const;
  const UNCOMPARED: readonly (readonly [why: string, line: () => string, candidate?: () => Bundle])[] = [
    [
      'denied_before_policy',
      () => line(1, 'allow', { bundle: null, profile: null, input: null, result: null }),
    ],
    ['not_evaluated', () => line(1, 'allow', { result: null, failed })],
    ['stopped_after_policy', () => line(1, 'allow', { failed })],
    ['amendment', () => line(1, 'allow', { amends: true })],
    ['withheld', () => '{"withheld":{"node":"n1","seq":1,"prev":"","hash":""}}'],
    [
      'revision_missing',
      () => line(1, 'allow', { bundle: { name: 'low', revision: 'lost', sha256: '0'.repeat(64) } }),
    ],
    ['profile_not_in_candidate', () => line(1, 'allow'), () => high],
    ['input_withheld', () => line(1, 'allow'), () => withMeta(told, { headers: ['x-more'] })],
    ['input_withheld', () => line(1, 'allow'), () => withMeta(told, { envoy: true })],
  ];
  for (const [why, recorded, candidate = () => low] of UNCOMPARED) {
    it(`does not compare, and says why: ${why}`, async () => {
      const { records, not_comparable, counts } = await impactOf([recorded()], candidate());
      const whys = not_comparable.map((one) => one.why);
      assert.deepEqual([records, whys, counts.not_comparable], [1, [why], 1]);
    });
  }

  it('shows a candidate no more than it asks to see', async () => {
    const { changes } = await impactOf([line(1, 'x_own')], withMeta(told, { redact: ['query.tell'] }));
    assert.deepEqual(
      changes.map(({ kind }) => kind),
      ['error'],
    );
  });

  it('finds the input where its own members are named like those of a record', async () => {
    const authzen = { input: { a: 1 }, result: { input: {}, result: 'x' } };
    const { reproduced } = await impactOf([recordedLine(1, byTold, input('x_own', { authzen }))], low);
    assert.deepEqual([reproduced.equal, reproduced.not_equal], [1, 0]);
  });

  it('leaves decisions of other revisions out where one is asked for', async () => {
    const lines = [line(1, 'x_own'), byDefault(2, 'x_own')];
    const { records, changes } = await impactOf(lines, low, { only: [told.sha256] });
    assert.deepEqual([records, changes.length], [1, 1]);
  });

  it('takes a revision for a digest there, and leaves out what no policy decided', async () => {
    const early = { bundle: null, profile: null, input: null, result: null };
    const lines = [line(1, 'x_own'), byDefault(2, 'x_own'), line(3, 'allow', early)];
    const { records, changes } = await impactOf(lines, low, { only: [told.revision] });
    assert.deepEqual([records, changes.length], [1, 1]);
  });

  it('asks for a bundle once, and goes on where it is not to be had', async () => {
    const asked: string[] = [];
    const bundleOf = async (sha256: string) => {
      asked.push(sha256);
      return sha256 === told.sha256 ? told : null;
    };
    const lines = [line(1, 'x_own'), byDefault(2, 'allow'), line(3, 'x_own'), byDefault(4, 'allow')];
    const { counts, reproduced, not_comparable } = await impactOf(lines, low, { bundleOf });
    assert.deepEqual(
      [asked, counts.newly_allowed, counts.not_comparable, reproduced.equal],
      [[told.sha256, low.sha256], 2, 2, 2],
    );
    assert.deepEqual(
      not_comparable.map(({ decision_ids }) => decision_ids.map((id) => id.at(-1))),
      [['2', '4']],
    );
  });

  it('tells how far it is', async () => {
    const told: number[] = [];
    await impactOf([line(1, 'allow'), line(2, 'allow')], low, {
      onProgress: ({ records }) => void told.push(records),
    });
    assert.deepEqual(told, [2]);
  });

  it('fails where a bundle does not load', async () => {
    const bundleOf = async () => {
      throw new RangeError('the archive is gone');
    };
    await assert.rejects(impactOf([line(1, 'allow')], low, { bundleOf }), /the archive is gone/);
  });

  it('reads nothing where it was ended before', async () => {
    const signal = AbortSignal.abort(new Error('too late'));
    const unread = async function* () {
      yield assert.fail('read');
    };
    await assert.rejects(impactOf([], low, { lines: unread(), signal }), /too late/);
  });

  it('comes to the same however many threads there are, and wherever the pieces end', async () => {
    const lines = Array.from({ length: 300 }, (_, n) => line(n, n % 3 === 0 ? 'x_own' : 'allow'));
    const one = await impactOf(lines, low);
    const whole = Buffer.from(lines.join('\n'));
    const pieces = async function* () {
      for (let at = 0; at < whole.length; at += 100_003) yield whole.subarray(at, at + 100_003);
    };
    const two = await impactOf([], low, { lines: pieces(), threads: 2 });
    assert.equal(one.counts.newly_allowed, 100);
    assert.deepEqual({ ...two, groups: null }, { ...one, groups: null });
  });

  describe('in threads', () => {
    /** That were begun. */
    let threads: Worker[];
    let hear: (thread: Worker) => void;
    const begun = (thread: Worker) => {
      threads.push(thread);
      hear(thread);
    };
    beforeEach(() => {
      [threads, hear] = [[], () => undefined];
      process.on('worker', begun);
    });
    afterEach(() => void process.off('worker', begun));

    it('has as many as there are cores, and four at most', async () => {
      await runImpact({ lines: inChunks([]), candidates: [low], bundleOf: async () => null });
      assert.equal(threads.length, Math.min(availableParallelism(), 4));
    });

    it('leaves none behind', async () => {
      await impactOf([line(1, 'allow')], low);
      assert.deepEqual(
        threads.map(({ threadId }) => threadId),
        [-1],
      );
    });

    it('fails where one ends before its work', async () => {
      hear = (thread) => void thread.terminate();
      await assert.rejects(impactOf([line(1, 'allow')], low), /a thread of the impact ended before its work/);
    });

    it('ends although one waits for a bundle that does not come', async () => {
      const ending = new AbortController();
      const { promise: forever } = Promise.withResolvers<null>();
      const bundleOf = () => {
        ending.abort(new Error('enough'));
        return forever;
      };
      await assert.rejects(impactOf([line(1, 'allow')], low, { bundleOf, signal: ending.signal }), /enough/);
    });
  });

  it('says which line is no record', async () => {
    await assert.rejects(
      impactOf([line(1, 'allow'), 'decision_id,time'], low),
      inputError(/"decision_id,time"/),
    );
  });

  it('says no more of it than its first eighty characters', async () => {
    await assert.rejects(impactOf(['x'.repeat(100)], low), inputError(/: "x{80}";/));
  });

  it('counts no line that says nothing of a decision', async () => {
    const checkpoint = '{"checkpoint":{"node":"n1","seq":1,"hash":""}}';
    const { records, not_comparable } = await impactOf([checkpoint, line(1, 'allow'), ''], low);
    assert.deepEqual([records, not_comparable], [1, []]);
  });

  it('ends where it is told to', async () => {
    const ending = new AbortController();
    const endless = async function* () {
      for (let n = 0; ; n += 1) yield Buffer.from(`${line(n, 'allow')}\n`);
    };
    const onProgress = () => ending.abort(new Error('enough'));
    const run = impactOf([], low, { lines: endless(), signal: ending.signal, onProgress });
    await assert.rejects(run, /enough/);
  });
});
