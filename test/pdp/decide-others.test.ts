import assert from 'node:assert/strict';
import type { SharedAnswer } from '../../src/feed/shared.ts';
import { decide, type Pdp } from '../../src/pdp/decide.ts';
import { buildRouteMap } from '../../src/request/route-map.ts';
import type { Decision, RecordBody } from '../../src/schema/decision.ts';
import type { AuthzRequest, Route } from '../../src/schema/request.ts';
import { answering } from '../gate/support.ts';
import { bearing, chain, keys, NOW, proving, request, SUBJECT } from '../support/kit.ts';
import { asked, type Composed, composed, folders, tokened, tokenFor, withRun } from './support.ts';

describe('decide, by what others say', () => {
  const temporary = folders();
  let parts: Composed;

  before(async () => {
    parts = await composed(temporary.make());
  });
  after(async () => {
    await parts.close();
    temporary.remove();
  });

  async function outcome(
    one: AuthzRequest,
    more: Partial<Pdp> = {},
  ): Promise<{ readonly decision: Decision; readonly record: RecordBody }> {
    const appended: RecordBody[] = [];
    const append: Composed['log']['append'] = (body, how) => {
      appended.push(body);
      return parts.log.append(body, how);
    };
    const decision = await decide(one, { ...parts.pdp, ...more, log: { ...parts.log, append } });
    const [record, ...others] = appended;
    assert.ok(record !== undefined && others.length === 0);
    return { decision, record };
  }

  const reasonOf = async (...about: Parameters<typeof outcome>) => (await outcome(...about)).decision.reason;

  describe('by a legacy token', () => {
    const bringing = (over: Parameters<typeof tokenFor>[1] = {}) =>
      asked(tokened(tokenFor(chain(), over, keys.issuer)));

    it('asks the policy, as by a token, and says how old it is', async () => {
      const { record } = await outcome(bringing({ issued_at: NOW - 3 }));
      assert.deepEqual(
        [record.stage, record.reason, record.input?.subject.via, record.input?.legacy],
        ['policy', 'legacy_disabled', 'token', { token: true, age_ms: 3_000 }],
      );
    });

    for (const [name, over, code] of [
      ['that is over', { issued_at: NOW - 60, expires_at: NOW }, 'token_expired'],
      ['that begins later', { issued_at: NOW + 31 }, 'token_invalid'],
    ] as const) {
      it(`takes none ${name}, though its proof holds: ${code}`, async () => {
        const { record } = await outcome(bringing(over));
        assert.deepEqual([record.stage, record.reason], ['proof', code]);
      });
    }
  });

  describe('by an enforcement point that says who the subject is', () => {
    const saying = (tenant: { org: string; env: string } | null) => ({
      ...asked(request()),
      asserted: { by: 'edge', id: 'somebody', tenant },
    });

    for (const tenant of [null, { org: 'acme', env: 'prod' }]) {
      it(`leaves it to the policy, for ${tenant === null ? 'any tenant' : 'its own'}`, async () => {
        const { record } = await outcome(saying(tenant));
        assert.deepEqual(
          [record.stage, record.reason, record.input?.subject.id, record.input?.subject.via],
          ['policy', 'policy_denied', 'somebody', 'asserted'],
        );
      });
    }

    for (const tenant of [
      { org: 'rival', env: 'prod' },
      { org: 'acme', env: 'dev' },
      { org: 'rival', env: 'dev' },
    ]) {
      it(`takes no word of one of ${tenant.org}/${tenant.env}`, async () => {
        const { record } = await outcome(saying(tenant));
        assert.deepEqual([record.stage, record.reason], ['proof', 'auth_required']);
      });
    }
  });

  describe('by who asks for a subject', () => {
    it('allows the one that the proof names', async () => {
      assert.equal(await reasonOf({ ...asked(bearing(chain())), subjectId: SUBJECT }), 'allowed');
    });

    it('knows no other', async () => {
      const { record } = await outcome({ ...asked(bearing(chain())), subjectId: 'did:lemma:other' });
      assert.deepEqual(
        [record.reason, record.stage, record.failed?.facts],
        ['runtime_unknown', 'gate', { subject: SUBJECT }],
      );
    });
  });

  describe('by what all nodes count', () => {
    const back: string[] = [];
    const taken = (...used: number[]): SharedAnswer => ({
      kind: 'taken',
      used,
      giveBack: () => void back.push('given'),
    });
    beforeEach(() => void back.splice(0));

    it('asks of nothing that has neither nonce nor budget', async () => {
      const { shared, asked: takes } = answering({ kind: 'unavailable', why: 'away' });
      assert.equal(await reasonOf(asked(bearing(chain())), { shared }), 'allowed');
      assert.deepEqual(takes, []);
    });

    it('spends a nonce at all of them', async () => {
      const { shared, asked: takes } = answering(taken());
      const nonce = 's'.repeat(22);
      assert.equal(await reasonOf(asked(proving(chain(), keys.runtime, { nonce })), { shared }), 'allowed');
      assert.deepEqual(
        takes.map((one) => [one.nonce?.nonce, one.lines.length]),
        [[nonce, 0]],
      );
    });

    it('denies a nonce that is spent at another', async () => {
      const { shared } = answering({ kind: 'replayed' });
      assert.equal(await reasonOf(asked(proving(chain(), keys.runtime)), { shared }), 'replay_detected');
    });

    it('counts a budget over all of them', async () => {
      const { shared } = answering(taken(7));
      const { record } = await outcome(asked(bearing(withRun(10))), { shared });
      assert.deepEqual([record.reason, record.input?.budget], ['allowed', { limit: 10, used: 7 }]);
      assert.deepEqual(back, []);
    });

    it('gives an operation back to all of them where the policy denies', async () => {
      const { shared } = answering(taken(11));
      assert.equal(await reasonOf(asked(bearing(withRun(10))), { shared }), 'budget_exhausted');
      assert.deepEqual(back, ['given']);
    });
  });

  describe('by its authority', () => {
    /** A request that every route asks a PoP for, at this risk. */
    const at = (risk: Route['risk']) => {
      const settings = parts.pdp.settings();
      const changed = buildRouteMap(settings.routes.routes.map((route) => ({ ...route, risk })));
      return { settings: () => ({ ...settings, routes: changed }) };
    };
    const proven = () => asked(proving(chain(), keys.runtime));
    const whether = (whole: boolean) => {
      const calls: string[] = [];
      const confirm = async () => {
        calls.push('confirm');
        return whole;
      };
      const gate: Pdp['gate'] = {
        ...parts.pdp.gate,
        admit(bound, nowMs) {
          calls.push('admit');
          return parts.pdp.gate.admit(bound, nowMs);
        },
      };
      return { calls, node: { confirm, gate } };
    };

    for (const whole of [true, false]) {
      it(`has it confirm the state where the profile asks for that (${whole})`, async () => {
        const { calls, node } = whether(whole);
        const { record } = await outcome(proven(), { ...at('critical'), ...node });
        assert.deepEqual([calls, record.input?.freshness.confirmed], [['admit', 'confirm'], whole]);
      });
    }

    it('asks nothing of it elsewhere, and says that nothing is confirmed', async () => {
      const { calls, node } = whether(true);
      const { record } = await outcome(proven(), { ...at('low'), ...node });
      assert.deepEqual([calls, record.input?.freshness.confirmed], [['admit'], false]);
    });

    it('is its own where the store is here', async () => {
      const { record } = await outcome(proven(), at('critical'));
      assert.equal(record.input?.freshness.confirmed, true);
    });

    it('asks it first where the machine slept', async () => {
      const { calls, node } = whether(true);
      await outcome(proven(), { ...node, slept: () => true });
      assert.deepEqual(calls, ['confirm', 'admit']);
    });

    it('does not where it was awake', async () => {
      const { calls, node } = whether(true);
      await outcome(proven(), { ...node, slept: () => false });
      assert.deepEqual(calls, ['admit']);
    });
  });
});
