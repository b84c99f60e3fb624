import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { createBudgets } from '../../src/gate/budget.ts';
import { createGate, type GateState } from '../../src/gate/gate.ts';
import { createReplayGuard, NONCE_LIFE } from '../../src/gate/replay.ts';
import type { LiveRuntime } from '../../src/gate/runtimes.ts';
import { createChainCache } from '../../src/proof/cache.ts';
import { createTrust } from '../../src/proof/trust.ts';
import { chain, header, keys, NOW, SUBJECT } from '../support/kit.ts';

const trust = createTrust([{ org: 'acme', env: 'prod', keys: [{ x: toBase64url(keys.issuer.public) }] }]);
const verified = (parts = {}) => createChainCache().verify(header(chain(parts)), trust);

const runtime: LiveRuntime = {
  org: 'acme',
  env: 'prod',
  runtime_id: 'bot-1',
  agent_id: 'bot',
  workspace_id: 'prod',
  profile: 'low',
  subject: SUBJECT,
  keys: null,
  status: 'active',
  registered_at: 0,
  taint_epoch: 0,
};

const state = (more: Partial<GateState> = {}): GateState => ({
  runtimes: [runtime],
  revocations: [],
  nonces: [],
  budgets: [],
  position: { epoch: 1, seq: 1 },
  memoryLostAt: null,
  latestRecord: 0,
  ...more,
});

function loaded(more: Partial<GateState> = {}) {
  const gate = createGate();
  gate.load(state(more));
  return gate;
}

const ms = NOW * 1000;
const denies = (code: string, run: () => unknown) => assert.throws(run, { code });

describe('the gate', () => {
  it('is not ready before its state is loaded', () =>
    denies('state_not_ready', () => createGate().admit(verified(), ms)));
  it('admits a registered runtime', () => assert.equal(loaded().admit(verified(), ms).runtime_id, 'bot-1'));

  const unknown: [name: string, change: Partial<LiveRuntime>][] = [
    ['another subject', { subject: `did:lemma:ppid_${'0'.repeat(64)}` }],
    ['another agent', { agent_id: 'other' }],
    ['another workspace', { workspace_id: 'other' }],
    ['another org', { org: 'other' }],
    ['another env', { env: 'dev' }],
    ["a list of keys without the runtime's", { keys: [keys.run.id] }],
  ];
  for (const [name, change] of unknown) {
    it(`does not know a runtime registered for ${name}`, () => {
      denies('runtime_unknown', () =>
        loaded({ runtimes: [{ ...runtime, ...change }] }).admit(verified(), ms),
      );
    });
  }

  it('admits a key that is listed', () => {
    assert.ok(loaded({ runtimes: [{ ...runtime, keys: [keys.runtime.id] }] }).admit(verified(), ms));
  });

  it('denies a killed runtime before it looks at revocation', () => {
    const gate = loaded({ revocations: [{ org: 'acme', env: 'prod', kind: 'key', value: keys.runtime.id }] });
    gate.putRuntime({ ...runtime, status: 'killed' });
    denies('runtime_killed', () => gate.admit(verified(), ms));
  });

  it('denies a contained runtime', () => {
    denies('runtime_inactive', () =>
      loaded({ runtimes: [{ ...runtime, status: 'inactive' }] }).admit(verified(), ms),
    );
  });

  it('never lets an old message bring a killed runtime back', () => {
    const gate = loaded();
    gate.putRuntime({ ...runtime, status: 'killed' });
    gate.putRuntime(runtime);
    denies('runtime_killed', () => gate.admit(verified(), ms));
  });

  it('never lets a taint epoch fall', () => {
    const gate = loaded();
    gate.putRuntime({ ...runtime, taint_epoch: 5 });
    gate.putRuntime({ ...runtime, taint_epoch: 4 });
    assert.equal(gate.runtime('acme', 'prod', 'bot-1')?.taint_epoch, 5);
  });

  const bound = verified({ run: {} });
  const revocable = [...bound.links.map((l) => l.id), ...bound.keyids, keys.issuer.id];
  for (const [index, value] of revocable.entries()) {
    it(`denies when value ${index} of the chain is revoked`, () => {
      const gate = loaded();
      gate.revoke({ org: 'acme', env: 'prod', kind: 'lemma', value });
      denies('revoked', () => gate.admit(bound, ms));
      assert.equal(gate.stopped(bound), 'revoked');
    });
  }

  it("does not heed another org's revocation", () => {
    const gate = loaded();
    gate.revoke({ org: 'other', env: 'prod', kind: 'key', value: keys.runtime.id });
    assert.ok(gate.admit(verified(), ms));
  });

  it('sees a kill at the last look', () => {
    const gate = loaded();
    gate.admit(bound, ms);
    assert.equal(gate.stopped(bound), null);
    gate.putRuntime({ ...runtime, status: 'killed' });
    assert.equal(gate.stopped(bound), 'runtime_killed');
  });

  it('trusts no clock that went back by more than 30 s', () => {
    const gate = loaded({ latestRecord: ms });
    assert.ok(gate.admit(verified(), ms - 30_000));
    denies('clock_untrusted', () => gate.admit(verified(), ms - 30_001));
  });
});

describe('the replay guard', () => {
  const nonce = (n: string, created = NOW, keyid = 'k') => ({ keyid, nonce: n, created });
  const guard = (limit = 100, memoryLostAt: number | null = null) =>
    createReplayGuard({ limit, memoryLostAt });

  it('lets a nonce pass once for a key', () => {
    const g = guard();
    g.spend(nonce('a'), NOW);
    denies('replay_detected', () => g.spend(nonce('a'), NOW + 60));
    g.spend(nonce('a', NOW, 'other'), NOW);
  });

  it('remembers what the store restored', () => {
    const g = guard();
    g.restore(nonce('a'));
    denies('replay_detected', () => g.spend(nonce('a'), NOW));
  });

  it('denies when it is full, and forgets nothing early', () => {
    const g = guard(2);
    g.spend(nonce('a'), NOW);
    g.spend(nonce('b'), NOW);
    denies('replay_check_unavailable', () => g.spend(nonce('c'), NOW));
    denies('replay_detected', () => g.spend(nonce('a'), NOW));
  });

  it('makes room when nonces are too old to come again', () => {
    const g = guard(1);
    g.spend(nonce('a'), NOW);
    g.spend(nonce('b', NOW + NONCE_LIFE + 1), NOW + NONCE_LIFE + 1);
    assert.equal(g.size, 1);
  });

  it('does not fall for a clock that was set back', () => {
    const g = guard();
    g.spend(nonce('a'), NOW);
    g.spend(nonce('b', NOW + 200), NOW + 200);
    denies('replay_check_unavailable', () => g.spend(nonce('a'), NOW + 30));
  });

  it('can not vouch for PoPs of a time that it has no memory of', () => {
    const g = guard(100, NOW);
    denies('replay_check_unavailable', () => g.spend(nonce('a', NOW + 30), NOW + 30));
    g.spend(nonce('b', NOW + 31), NOW + 31);
  });

  it('lets each nonce pass exactly once, in any order of times', () => {
    const spend = fc.record({
      n: fc.nat(5),
      created: fc.integer({ min: NOW - 60, max: NOW + 30 }),
      now: fc.integer({ min: NOW, max: NOW + 200 }),
    });
    fc.assert(
      fc.property(fc.array(spend, { maxLength: 60 }), (spends) => {
        const g = guard();
        const passed = new Set<string>();
        for (const { n, created, now } of spends) {
          // What checkPop lets through: nothing older than 60 s or over 30 s ahead.
          if (now - created > 60 || created - now > 30) continue;
          try {
            g.spend(nonce(String(n), created), now);
          } catch {
            continue;
          }
          const key = `${n} ${created}`;
          assert.ok(!passed.has(key), key);
          passed.add(key);
        }
      }),
    );
  });
});

describe('budgets', () => {
  const line = (lemmaId: string, limit: number) => ({ lemmaId, limit, expires: NOW + 600 });

  it('count this request in', () => {
    assert.deepEqual(
      [createBudgets().reserve([line('a', 5)], NOW)].map((r) => [r?.limit, r?.used]),
      [[5, 1]],
    );
  });

  it('speak for the one with the least left', () => {
    const b = createBudgets();
    b.restore('run', 9, NOW + 600);
    assert.equal(b.reserve([line('runtime', 100), line('run', 10)], NOW)?.limit, 10);
  });

  it('give an operation back once', () => {
    const b = createBudgets();
    const first = b.reserve([line('a', 5)], NOW);
    first?.release();
    first?.release();
    assert.equal(b.reserve([line('a', 5)], NOW)?.used, 1);
  });

  it('let exactly the limit through, however requests interleave', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.boolean(), { maxLength: 60 }),
        (limit, order) => {
          const b = createBudgets();
          let passed = 0;
          const held: { used: number; limit: number; release(): void }[] = [];
          for (const arrive of order) {
            if (arrive) {
              const r = b.reserve([line('a', limit)], NOW);
              if (r !== null) held.push(r);
              continue;
            }
            const r = held.shift();
            if (r === undefined) continue;
            if (r.used <= r.limit) passed += 1;
            else r.release();
          }
          assert.ok(passed <= limit);
        },
      ),
    );
  });

  it('has none where no link sets one', () => assert.equal(createBudgets().reserve([], NOW), null));
});
