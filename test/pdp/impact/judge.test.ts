import assert from 'node:assert/strict';
import {
  evaluateRecorded,
  hindrance,
  type Judge,
  type Judgement,
  judge,
} from '../../../src/pdp/impact/judge.ts';
import { readLine } from '../../../src/pdp/impact/line.ts';
import { sentCandidate } from '../../../src/pdp/impact/pool.ts';
import type { Bundle } from '../../../src/policy/bundle.ts';
import { loadEmbedded } from '../../../src/policy/embedded.ts';
import { compileEngine, type Engine } from '../../../src/policy/engine.ts';
import type { Evaluator } from '../../../src/policy/evaluate.ts';
import { createEvaluator } from '../../../src/policy/evaluator.ts';
import { Denial } from '../../../src/reason.ts';
import type { RecordBody } from '../../../src/schema/decision.ts';
import type { PolicyInput } from '../../../src/schema/input.ts';
import { ALLOWED, allowedInput, bytes, fixture, merged } from '../../policy/support.ts';
import { told } from '../support.ts';
import { recordedLine } from './recorded.ts';

/** What decided is the told policy (it answers what `tell` says); the candidate is the probe (it gives `answer`). */
describe('one recorded decision by a candidate', () => {
  let engine: Engine;
  let own: Judge;
  let probe: Judge;
  let low: Judge;

  before(async () => {
    const embedded = (await loadEmbedded()).find(({ name }) => name === 'low');
    engine = await compileEngine(told);
    [own, probe, low] = await Promise.all([judgeOf(told), judgeOf(fixture('probe')), judgeOf(embedded)]);
  });

  async function judgeOf(bundle: Bundle | undefined): Promise<Judge> {
    assert.ok(bundle !== undefined);
    const { sha256, headers, redact, view, image } = await sentCandidate(bundle);
    return { sha256, headers, redact, view, evaluator: createEvaluator(image), base: null };
  }
  const input = (tell: string, answer: unknown = ALLOWED, more = {}): PolicyInput => {
    const base = { ...allowedInput('low'), answer };
    return merged(merged(base, { request: { query: { tell: [tell] } } }), more) as unknown as PolicyInput;
  };
  const read = (line: string) => {
    const recorded = readLine(line);
    assert.ok(typeof recorded === 'object' && recorded !== null);
    return recorded;
  };
  const lineOf = (tell: string, answer?: unknown, over: Partial<RecordBody> = {}, more = {}) =>
    recordedLine(1, engine, input(tell, answer, more), over);
  const judged = (line: string, candidate: Judge | null | undefined = probe, by: Judge | null = own) =>
    judge(line, read(line), by, candidate);
  const changeOf = (line: string, candidate = probe) => {
    const change = judged(line, candidate);
    assert.ok('members' in change, JSON.stringify(change));
    return change;
  };
  /** The same evaluator, which keeps what it is asked. */
  function watched(evaluator: Evaluator, seen: string[]): Evaluator {
    const { instances } = evaluator;
    const take = () => {
      const instance = instances.take();
      const evaluate = (text: Uint8Array, budget?: number) => {
        seen.push(Buffer.from(text).toString());
        return instance.evaluate(text, budget);
      };
      return Object.create(instance, {
        evaluate: { value: evaluate },
        reusable: { get: () => instance.reusable },
        stepsTaken: { get: () => instance.stepsTaken },
      });
    };
    return {
      ...evaluator,
      instances: Object.create(instances, { take: { value: take }, giveBack: { value: () => undefined } }),
    };
  }

  const DENIED = { allow: false, reason: 'x_own', reasons: ['x_own'] };
  const FAILED = { allow: false, reason: 'policy_error', reasons: ['policy_error'], error: 'policy_error' };

  describe('is a change', () => {
    it('with all that is known of the decision', () => {
      const line = lineOf('x_own', ALLOWED, { observed: true });
      assert.deepEqual(judged(line), {
        kind: 'newly_allowed',
        decision_id: `dec_${'1'.padStart(22, '0')}`,
        time: 1_790_000_000_123,
        org: 'acme',
        env: 'prod',
        profile: 'low',
        route: 'documents.read',
        runtime: 'bot-1',
        observed: true,
        was_by: own.sha256,
        now_by: probe.sha256,
        was: { ...DENIED, error: null },
        now: { ...ALLOWED, error: null },
        members: ['allow', 'reason', 'reasons'],
      } satisfies Judgement);
    });

    it('where an allow is denied', () => {
      assert.equal(changeOf(lineOf('allow', DENIED)).kind, 'newly_denied');
    });

    it('where a denial has another reason', () => {
      const { kind, members } = changeOf(
        lineOf('x_own', { ...DENIED, reason: 'x_other', reasons: ['x_other'] }),
      );
      assert.deepEqual([kind, members], ['reason_changed', ['reason', 'reasons']]);
    });

    it('where a denial has one more reason', () => {
      const { kind, members } = changeOf(lineOf('x_own', { ...DENIED, reasons: ['x_own', 'x_other'] }));
      assert.deepEqual([kind, members], ['reason_changed', ['reasons']]);
    });

    it('where only its effects are others', () => {
      const { kind, members } = changeOf(lineOf('allow', { ...ALLOWED, headers: { a: 'b' } }));
      assert.deepEqual([kind, members], ['effects_changed', ['headers']]);
    });

    for (const [tell, was] of [
      ['allow', 'allowed'],
      ['x_own', 'x_own'],
    ] as const)
      it(`where the candidate fails about what was ${was}`, () => {
        const { kind, now, members } = changeOf(lineOf(tell, 'no answer'));
        assert.deepEqual([kind, now, members], ['error', FAILED, []]);
      });

    it('where the candidate fails in another way than before', () => {
      const { kind, was, now } = changeOf(lineOf('loop', 'no answer'));
      assert.deepEqual([kind, was.error, now.error], ['error', 'policy_timeout', 'policy_error']);
    });

    for (const [answer, kind] of [
      [ALLOWED, 'newly_allowed'],
      [DENIED, 'reason_changed'],
    ] as const)
      it(`where it failed, and the candidate says ${answer.reason}`, () => {
        const change = changeOf(lineOf('nothing', answer));
        assert.deepEqual([change.kind, change.was, change.members], [kind, FAILED, []]);
      });
  });

  describe('is the same', () => {
    it('where the candidate is the one that decided, which is asked once', () => {
      const seen: string[] = [];
      const watching = { ...own, evaluator: watched(own.evaluator, seen) };
      const line = lineOf('x_own');
      assert.deepEqual([judged(line, watching, watching).kind, seen.length], ['same', 1]);
    });

    it('where the candidate gives the same bytes', () => {
      assert.equal(judged(lineOf('x_own', DENIED)).kind, 'same');
    });

    it('where the candidate gives the same in another order', () => {
      const { reasons, reason, allow } = DENIED;
      assert.equal(judged(lineOf('x_own', { reasons, reason, allow })).kind, 'same');
    });

    it('where the candidate fails in the same way', () => {
      assert.equal(judged(lineOf('nothing', 'no answer')).kind, 'same');
    });
  });

  describe('says nothing of the candidate', () => {
    const uncompared = (judgement: Judgement) =>
      judgement.kind === 'not_comparable' ? judgement.why : judgement.kind;

    it('where there is none for its profile', () => {
      assert.equal(uncompared(judged(lineOf('allow'), null, null)), 'profile_not_in_candidate');
    });

    it('where the bundle that decided is not to be had', () => {
      assert.equal(uncompared(judged(lineOf('allow'), probe, null)), 'revision_missing');
    });

    it('where only the reproduction is asked for', () => {
      const line = lineOf('x_own');
      assert.deepEqual(judge(line, read(line), own, undefined), { kind: 'reproduced' });
    });

    it('where a check stopped it after the policy', () => {
      const failed = { check: 'budget_exhausted', message: 'spent', facts: {} } as const;
      assert.equal(uncompared(judged(lineOf('allow', DENIED, { failed }))), 'stopped_after_policy');
    });

    for (const [what, edit] of [
      ['a header', { headers: ['x-a', 'x-b'] }],
      ['a part of the query', { redact: [] }],
      ["Envoy's view", { view: 'envoy' }],
    ] as const)
      it(`where it would be shown more than was recorded: ${what}`, () => {
        const by: Judge = { ...own, headers: ['X-A'], redact: ['query.token'] };
        const candidate: Judge = { ...probe, headers: ['x-a'], redact: ['query.token'], ...edit };
        assert.equal(uncompared(judged(lineOf('x_own', DENIED), candidate, by)), 'input_withheld');
      });

    for (const [what, edit] of [
      ['a request', (line: string) => line.replace('"low","request":{', '"low","asked":{')],
      ['headers', (line: string) => line.replace('"headers":{}', '"headers":1')],
      ['a body', (line: string) => line.replace('"body":{"state":"none"}', '"body":null')],
    ] as const)
      it(`where it hides more of an input without ${what}, which only a file can hold`, () => {
        const line = edit(lineOf('nothing', ALLOWED));
        const candidate = { ...probe, redact: ['body.secret'] };
        assert.notEqual(line, lineOf('nothing', ALLOWED));
        assert.equal(uncompared(judged(line, candidate)), 'input_withheld');
      });

    it('where it hides more of a view, which has it under other names', () => {
      const by: Judge = { ...own, view: 'envoy' };
      const candidate: Judge = { ...probe, view: 'envoy', redact: ['query.token'] };
      assert.equal(uncompared(judged(lineOf('x_own', DENIED), candidate, by)), 'input_withheld');
    });
  });

  describe('is shown to the candidate', () => {
    const line = () =>
      lineOf(
        'x_own',
        DENIED,
        {},
        {
          request: {
            headers: { 'x-a': ['1'], 'x-b': ['\u2028'] },
            query: { tell: ['x_own'], token: ['secret'], other: ['1'] },
            body: { state: 'complete', json: { card: { number: 1, kind: 'a' } } },
          },
        },
      );
    const shown = (candidate: Partial<Judge>, by: Partial<Judge> = {}) => {
      const seen: string[] = [];
      const kind = judged(
        line(),
        { ...probe, ...candidate, evaluator: watched(probe.evaluator, seen) },
        { ...own, ...by },
      ).kind;
      assert.deepEqual([kind, seen.length], ['same', 1]);
      return seen[0] ?? '';
    };
    const whole = () => read(line()).input?.json ?? '';

    it('as it was recorded, byte for byte, where it hides the same', () => {
      const same = { headers: ['X-A', 'x-b'], redact: ['query.a'] };
      assert.equal(shown({ ...same, headers: ['x-b', 'x-a'] }, same), whole());
    });

    it('in a view as it was recorded', () => {
      assert.equal(shown({ view: 'envoy' }, { view: 'envoy' }), whole());
    });

    it('without the headers that it does not ask for', () => {
      const { request } = JSON.parse(shown({ headers: ['X-B'] }, { headers: ['x-a', 'X-b'] }));
      assert.deepEqual(request.headers, { 'x-b': ['\u2028'] });
    });

    it('with the headers that the route lists', () => {
      const { request } = JSON.parse(shown({ headers: [] }, { headers: ['x-a'] }));
      assert.deepEqual(request.headers, { 'x-b': ['\u2028'] });
    });

    it('without what it hides, and nothing else', () => {
      const { request } = JSON.parse(shown({ redact: ['query.token', 'body.card.number'] }));
      assert.deepEqual(
        [request.query, request.body.json],
        [{ tell: ['x_own'], other: ['1'] }, { card: { kind: 'a' } }],
      );
    });

    it('without what it hides where what decided hid something twice', () => {
      const { request } = JSON.parse(
        shown({ redact: ['query.a', 'query.token'] }, { redact: ['query.a', 'query.a'] }),
      );
      assert.deepEqual(request.query, { tell: ['x_own'], other: ['1'] });
    });

    it('in printable characters, as a service would', () => {
      assert.ok(shown({ headers: ['x-b'] }, { headers: ['x-a', 'x-b'] }).includes('"\\u2028"'));
    });
  });

  describe('does not reproduce', () => {
    const differs = (judgement: Judgement) => {
      assert.ok(judgement.kind === 'differs', JSON.stringify(judgement));
      return judgement;
    };

    it('where the bundle that decided gives another result, which it names', () => {
      const { revision, why } = differs(
        judged(lineOf('x_own', DENIED, { result: { ...DENIED, allow: true } })),
      );
      assert.deepEqual([revision, why], [told.revision, 'it gives x_own now']);
    });

    it('where the bundle that decided fails, which it names', () => {
      const { why } = differs(judged(lineOf('nothing', DENIED, { result: ALLOWED, failed: null })));
      assert.match(why, /^it gives policy_error \(.+\) now$/);
    });

    it('where its input cannot be read back, whatever the candidate', () => {
      const line = lineOf('x_own').replace('"input":{', '"input": {');
      const { revision, why } = differs(judged(line));
      assert.deepEqual(
        [revision, why],
        [told.revision, 'the recorded input could not be read back byte for byte'],
      );
    });

    it('where the candidate is the one that decided', () => {
      differs(judged(lineOf('x_own', DENIED, { result: ALLOWED }), own));
    });
  });

  describe('behind an adapter', () => {
    const layered = (sha256 = 'b'): Judge => ({ ...probe, base: { sha256, evaluator: low.evaluator } });
    const answer = (text: string, by = layered()) => evaluateRecorded(bytes(text), by);
    const text = (said: unknown, more = {}) => JSON.stringify(input('allow', said, more));

    it("says what the profile's own denies", () => {
      const stale = { freshness: { age_ms: 60_000 } };
      const came = answer(text(ALLOWED, stale));
      assert.ok(!(came instanceof Denial));
      assert.equal(came.result.reason, 'freshness_stale');
    });

    it("says what it says itself of what the profile's own allows", () => {
      const came = answer(text(DENIED));
      assert.ok(!(came instanceof Denial));
      assert.deepEqual(came.result, DENIED);
    });

    it('fails where it fails itself', () => {
      const came = answer(text('no answer'));
      assert.ok(came instanceof Denial);
      assert.equal(came.code, 'policy_error');
    });

    it("fails where the profile's own fails", () => {
      const base = { sha256: 'b', evaluator: probe.evaluator };
      const came = answer(text('no answer'), { ...low, base });
      assert.ok(came instanceof Denial);
    });

    it('fails where the input is longer than any that is evaluated', () => {
      const json = text(ALLOWED);
      const within = (inputBytes: number) => {
        const limits = { ...low.evaluator.limits, inputBytes };
        return answer(json, { ...low, evaluator: { ...low.evaluator, limits } });
      };
      const [short, fits] = [within(json.length - 1), within(json.length)];
      assert.ok(short instanceof Denial && !(fits instanceof Denial));
      assert.equal(short.code, 'policy_timeout');
    });

    it("is another candidate with another policy of the profile's own", () => {
      const line = lineOf('x_own', DENIED);
      const seen: string[] = [];
      const evaluator = watched(own.evaluator, seen);
      const base = { sha256: 'b', evaluator: low.evaluator };
      judged(line, { ...own, evaluator, base }, own);
      assert.equal(seen.length, 1);
    });
  });
});

describe('a recorded decision', () => {
  const BUNDLE = { name: 'low', revision: 'r', sha256: 'a'.repeat(64) };
  const RECORDED = {
    ...{ decision_id: 'd', time: 1, org: 'a', env: 'b', observed: false, amends: false },
    ...{ input: { json: '{}', end: 1 }, hasInput: true, result: ALLOWED as never, profile: 'low' },
    ...{ bundle: BUNDLE, route: null, runtime: null, failed: null },
  };
  const failed = (check: 'policy_error' | 'overloaded') => ({ check, message: 'm', facts: {} });
  for (const [what, over, why] of [
    ['a result', {}, null],
    ['a failure of the policy', { result: null, failed: failed('policy_error') }, null],
    [
      'no result, and a check that stopped it',
      { result: null, failed: failed('overloaded') },
      'not_evaluated',
    ],
    ['no result at all', { result: null }, 'not_evaluated'],
    ['no bundle', { bundle: null }, 'denied_before_policy'],
    ['no input', { hasInput: false, input: null }, 'denied_before_policy'],
    ['an amendment', { amends: true, bundle: null }, 'amendment'],
  ] as const)
    it(`with ${what} can be evaluated again: ${why ?? 'yes'}`, () => {
      assert.equal(hindrance({ ...RECORDED, ...over }), why);
    });
});
