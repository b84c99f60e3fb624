import assert from 'node:assert/strict';
import { type CandidatePolicy, changeOf, type Outcome, replayWith } from '../../src/pdp/replay.ts';
import { compileEngine, type Engine } from '../../src/policy/engine.ts';
import { Denial } from '../../src/reason.ts';
import type { DecisionRecord, RecordBody } from '../../src/schema/decision.ts';
import type { PolicyInput } from '../../src/schema/input.ts';
import { allowedInput, denial } from '../policy/support.ts';
import { recordedLine } from './impact/recorded.ts';
import { told } from './support.ts';

/** The told policy answers what the query's `tell` says. */
describe('a recorded decision, asked of a candidate', () => {
  let engine: Engine;
  let candidate: CandidatePolicy;

  before(async () => {
    engine = await compileEngine(told);
    candidate = { decide: (input) => engine.evaluate(input) };
  });

  const input = (tell: string, more: object = {}): PolicyInput => {
    const base = allowedInput('low') as unknown as PolicyInput;
    return { ...base, request: { ...base.request, query: { tell: [tell] } }, ...more };
  };
  const replay = (
    tell: string,
    over: Partial<RecordBody> = {},
    by: CandidatePolicy | null = candidate,
    edit = (line: string) => line,
  ) => {
    const line = edit(recordedLine(1, engine, input(tell), over));
    return replayWith(by, JSON.parse(line) as DecisionRecord, line);
  };
  const failed = (check: 'overloaded' | 'policy_timeout') => ({ check, message: 'as it was', facts: {} });
  const failing = (code: 'policy_error' | 'policy_timeout' | 'policy_unavailable' | 'overloaded') => ({
    decide(): never {
      throw new Denial(code, 'just so');
    },
  });

  it('is told what the candidate says: an allow', async () => {
    assert.deepEqual(await replay('allow', { verdict: 'deny', reason: 'x_then' as RecordBody['reason'] }), {
      now: { verdict: 'allow', reason: 'allowed' },
      why: null,
    });
  });

  it('is told what the candidate says: a denial', async () => {
    assert.deepEqual(await replay('x_own', { verdict: 'allow', reason: 'allowed' }), {
      now: { verdict: 'deny', reason: 'x_own' },
      why: null,
    });
  });

  it('is asked with the very bytes of the record', async () => {
    let asked = '';
    const decide = (bytes: Uint8Array) => {
      asked = Buffer.from(bytes).toString();
      return engine.evaluate(bytes);
    };
    await replay('\u2028', {}, { decide });
    assert.equal(asked, JSON.stringify(input('\u2028')).replace('\u2028', '\\u2028'));
  });

  it('stays as a check decided it, whatever the candidate says', async () => {
    assert.deepEqual(
      await replay('allow', { verdict: 'deny', reason: 'overloaded', failed: failed('overloaded') }),
      {
        now: { verdict: 'deny', reason: 'overloaded' },
        why: 'overloaded: a check decided, not the policy',
      },
    );
  });

  it('is asked again where its policy failed', async () => {
    const was = { verdict: 'deny', reason: 'policy_timeout', result: null } as const;
    assert.deepEqual((await replay('allow', { ...was, failed: failed('policy_timeout') })).now, {
      verdict: 'allow',
      reason: 'allowed',
    });
  });

  it('stays as it was for a candidate of another profile', async () => {
    assert.deepEqual(await replay('x_own', {}, null), {
      now: { verdict: 'deny', reason: 'x_own' },
      why: 'the candidate is of another profile',
    });
  });

  it('is not asked again without an input', async () => {
    assert.deepEqual(await replay('allow', { input: null, result: null }), {
      now: null,
      why: 'the record holds no input',
    });
  });

  it('is not asked again where its input was altered into what cannot be read back', async () => {
    const again = await replay('allow', {}, candidate, (line) =>
      line.replace('"v":1,"now"', '"v":1.0,"now"'),
    );
    assert.deepEqual(again, { now: null, why: 'the recorded input could not be read back byte for byte' });
  });

  for (const code of ['policy_error', 'policy_timeout'] as const)
    it(`is denied where the candidate fails by ${code}`, async () => {
      assert.deepEqual(await replay('allow', {}, failing(code)), {
        now: { verdict: 'deny', reason: code },
        why: 'just so',
      });
    });

  for (const code of ['policy_unavailable', 'overloaded'] as const)
    it(`is told nothing where this host cannot ask: ${code}`, async () => {
      await assert.rejects(replay('allow', {}, failing(code)), denial(code));
    });

  it('is told nothing where something else fails', async () => {
    const decide = () => {
      throw new RangeError('a fault');
    };
    await assert.rejects(replay('allow', {}, { decide }), RangeError);
  });

  it('is not asked of a policy behind the adapter without what that reads', async () => {
    const again = await replay('allow', {}, { ...candidate, adapter: 'opa-envoy' });
    assert.deepEqual([again.now, /opa-envoy-plugin/.test(again.why ?? '')], [null, true]);
  });

  it('is asked of a policy behind the adapter where that is recorded', async () => {
    const line = recordedLine(1, engine, input('allow', { attributes: {} }));
    const again = await replayWith({ ...candidate, adapter: 'opa-envoy' }, JSON.parse(line), line);
    assert.equal(again.now?.verdict, 'allow');
  });
});

describe('a change', () => {
  const allow: Outcome = { verdict: 'allow', reason: 'allowed' };
  const deny: Outcome = { verdict: 'deny', reason: 'policy_denied' };
  const table: readonly (readonly [was: Outcome | null, now: Outcome | null, change: string | null])[] = [
    [deny, allow, 'newly_allowed'],
    [allow, deny, 'newly_denied'],
    [deny, { ...deny, reason: 'revoked' }, 'other_reason'],
    [deny, { ...deny }, null],
    [allow, { ...allow }, null],
    [null, allow, null],
    [allow, null, null],
  ];
  for (const [was, now, change] of table)
    it(`from ${was?.reason} to ${now?.reason} is ${change}`, () => {
      assert.equal(changeOf(was, now), change);
    });
});
