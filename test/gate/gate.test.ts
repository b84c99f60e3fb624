import assert from 'node:assert/strict';
import fc from 'fast-check';
import { countedBy, createBudgets } from '../../src/gate/budget.ts';
import { createGate, type Gate } from '../../src/gate/gate.ts';
import { createReplayGuard, NONCE_LIFE } from '../../src/gate/replay.ts';
import type { LiveRuntime } from '../../src/gate/runtimes.ts';
import type { VerifiedChain } from '../../src/proof/chain.ts';
import { keys, NOW } from '../support/kit.ts';
import { loaded, runtime, state, verified } from './support.ts';

const ms = NOW * 1000;
const bound = verified({ run: {} });
const denies = (code: string, run: () => unknown, facts?: object) =>
  assert.throws(run, facts === undefined ? { code } : { code, facts });
const ACTOR = { runtime_id: 'bot-1', org: 'acme', env: 'prod' };

describe('the gate', () => {
  it('is not ready before its state is loaded', () =>
    denies('state_not_ready', () => createGate().admit(verified(), ms)));
  it('admits a registered runtime', () => assert.equal(loaded().admit(verified(), ms).runtime_id, 'bot-1'));

  describe('tells who listens', () => {
    const REVOKED = { org: 'acme', env: 'prod', kind: 'lemma', value: 'lem_1' } as const;
    const changes: readonly (readonly [what: string, make: (gate: Gate) => void, seen: unknown[]])[] = [
      ['a runtime', (gate) => gate.putRuntime({ ...runtime, status: 'killed' }), ['killed', false]],
      ['a revocation', (gate) => gate.revoke(REVOKED), ['active', true]],
      [
        'a state in its place',
        (gate) => gate.replace({ ...state(), runtimes: [], revocations: [REVOKED] }),
        ['inactive', true],
      ],
    ];
    for (const [what, make, seen] of changes)
      it(`of ${what}, once that is in force`, () => {
        const gate = loaded();
        const told: unknown[][] = [];
        gate.changed(() => {
          const status = gate.runtime('acme', 'prod', 'bot-1')?.status;
          told.push([status, gate.revoked('acme', 'prod', 'lem_1')]);
        });
        make(gate);
        assert.deepEqual(told, [seen]);
      });

    it('until he ends it', () => {
      const gate = loaded();
      const heard: string[] = [];
      const end = gate.changed(() => void heard.push('ended'));
      gate.changed(() => void heard.push('stays'));
      end();
      gate.revoke(REVOKED);
      assert.deepEqual(heard, ['stays']);
    });
  });

  const unknown: [name: string, change: Partial<LiveRuntime>, unlike: string][] = [
    ['another subject', { subject: `did:lemma:ppid_${'0'.repeat(64)}` }, 'subject'],
    ['another agent', { agent_id: 'other' }, 'agent_id'],
    ['another workspace', { workspace_id: 'other' }, 'workspace_id'],
    ['another org', { org: 'other' }, 'registration'],
    ['another env', { env: 'dev' }, 'registration'],
    ["a list of keys without the runtime's", { keys: [keys.run.id] }, 'key'],
    ["a list of keys with the run's alone", { keys: [keys.run.id, keys.delegate.id] }, 'key'],
  ];
  for (const [name, change, unlike] of unknown) {
    it(`does not know a runtime registered for ${name}, and says what is unlike`, () => {
      const gate = loaded({ runtimes: [{ ...runtime, ...change }] });
      denies('runtime_unknown', () => gate.admit(bound, ms), { ...ACTOR, unlike });
    });
  }

  it('is ready once its state is loaded', () => {
    const gate = createGate();
    assert.equal(gate.ready, false);
    gate.load(state());
    assert.equal(gate.ready, true);
  });

  it('spends no nonce before its state is loaded', () =>
    denies('state_not_ready', () => createGate().spend({ keyid: 'k', nonce: 'n', created: NOW }, NOW)));

  it('knows what the store remembers: nonces, budgets, revocations, its position', () => {
    const gate = loaded({
      nonces: [{ keyid: 'k', nonce: 'n', created: NOW }],
      budgets: [{ lemma_id: 'acme prod run', used: 9, expires_at: NOW + 60 }],
      revocations: [{ org: 'acme', env: 'prod', kind: 'key', value: keys.delegate.id }],
      position: { epoch: 4, seq: 17 },
    });
    denies('replay_detected', () => gate.spend({ keyid: 'k', nonce: 'n', created: NOW }, NOW));
    assert.equal(gate.nonces, 1);
    assert.equal(
      gate.reserve([{ org: 'acme', env: 'prod', lemmaId: 'run', limit: 10, expires: NOW + 60 }], NOW)?.used,
      10,
    );
    denies('revoked', () => gate.admit(bound, ms), { ...ACTOR, value: keys.delegate.id });
    assert.deepEqual(gate.freshness(), { age_ms: 0, source: 'local', confirmed: true, epoch: 4, seq: 17 });
  });

  it('takes its place alone from a snapshot that names it', () => {
    const gate = createGate();
    const snapshot = { epoch: 4, seq: 17, signature: 's' };
    gate.load(state({ position: snapshot }));
    assert.deepEqual(gate.position, { epoch: 4, seq: 17 });
    gate.replace({ ...state(), position: { ...snapshot, seq: 18 } });
    assert.deepEqual(gate.position, { epoch: 4, seq: 18 });
  });

  it('stands at the beginning before its state is loaded', () => {
    const { epoch, seq } = createGate().freshness();
    assert.deepEqual([epoch, seq], [0, 0]);
  });

  it('counts no nonces before its state is loaded', () => assert.equal(createGate().nonces, 0));

  it('stands at the position of the last change that it was told of', () => {
    const gate = loaded();
    const at = () => [gate.freshness().epoch, gate.freshness().seq];
    gate.putRuntime(runtime, { epoch: 2, seq: 5 });
    assert.deepEqual(at(), [2, 5]);
    gate.revoke({ org: 'acme', env: 'prod', kind: 'key', value: 'x' }, { epoch: 2, seq: 6 });
    assert.deepEqual(at(), [2, 6]);
    gate.putRuntime(runtime);
    gate.revoke({ org: 'acme', env: 'prod', kind: 'key', value: 'y' });
    assert.deepEqual(at(), [2, 6]);
  });

  it('keeps as many nonces as it is told to', () => {
    const gate = createGate({ nonceLimit: 1 });
    gate.load(state());
    gate.spend({ keyid: 'k', nonce: 'a', created: NOW }, NOW);
    denies('replay_check_unavailable', () => gate.spend({ keyid: 'k', nonce: 'b', created: NOW }, NOW));
  });

  it('refuses PoPs of the time that the store lost', () => {
    const gate = loaded({ memoryLostAt: NOW });
    denies('replay_check_unavailable', () => gate.spend({ keyid: 'k', nonce: 'a', created: NOW }, NOW));
  });

  it('gives each runtime that it knows, and none that it does not', () => {
    const other = { ...runtime, runtime_id: 'bot-2' };
    const gate = loaded({ runtimes: [runtime, other] });
    assert.deepEqual([...gate.runtimes()], [runtime, other]);
    assert.deepEqual(
      [gate.runtime('acme', 'prod', 'bot-2'), gate.runtime('acme', 'dev', 'bot-2')],
      [other, null],
    );
  });

  it('has the last look find nobody that it does not know', () => {
    assert.equal(loaded({ runtimes: [] }).stopped(bound), null);
  });

  it('admits a key that is listed', () => {
    assert.ok(loaded({ runtimes: [{ ...runtime, keys: [keys.runtime.id] }] }).admit(verified(), ms));
  });

  it('denies a killed runtime before it looks at revocation', () => {
    const gate = loaded({ revocations: [{ org: 'acme', env: 'prod', kind: 'key', value: keys.runtime.id }] });
    gate.putRuntime({ ...runtime, status: 'killed' });
    denies('runtime_killed', () => gate.admit(verified(), ms), ACTOR);
  });

  it('denies a contained runtime', () => {
    const gate = loaded({ runtimes: [{ ...runtime, status: 'inactive' }] });
    denies('runtime_inactive', () => gate.admit(verified(), ms), ACTOR);
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

  const revocable = (of: VerifiedChain) => [
    ...of.links.map(({ id }) => id),
    ...of.keyids,
    keys.issuer.id,
    of.runtime.subject,
  ];
  for (const index of revocable(bound).keys()) {
    it(`denies when value ${index} of the chain is revoked`, () => {
      const gate = loaded();
      const own = verified({ run: {} });
      const value = revocable(own)[index] ?? '';
      gate.revoke({ org: 'acme', env: 'prod', kind: 'lemma', value });
      denies('revoked', () => gate.admit(own, ms), { ...ACTOR, value });
      assert.equal(gate.stopped(own), 'revoked');
    });
  }

  for (const value of ['lem_token', 'issuer of the token']) {
    it(`denies a legacy token when its ${value === 'lem_token' ? 'id' : 'issuer'} is revoked`, () => {
      const gate = loaded();
      const own = { ...verified(), token: { id: 'lem_token', issuer: 'issuer of the token' } };
      gate.revoke({ org: 'acme', env: 'prod', kind: 'lemma', value });
      denies('revoked', () => gate.admit(own, ms), { ...ACTOR, value });
    });
  }

  it('says what was taken back, and where', () => {
    const gate = loaded();
    const revocation = { org: 'acme', env: 'prod', kind: 'key', value: 'k' } as const;
    gate.revoke(revocation);
    assert.deepEqual([...gate.revocations()], [revocation]);
    assert.deepEqual(
      [
        gate.revoked('acme', 'prod', 'k'),
        gate.revoked('acme', 'dev', 'k'),
        gate.revoked('acme', 'prod', 'l'),
      ],
      [true, false, false],
    );
  });

  it('says how much of a budget is used', () => {
    const gate = loaded({
      budgets: [
        { lemma_id: countedBy({ org: 'acme', env: 'prod', lemmaId: 'run' }), used: 9, expires_at: NOW + 60 },
      ],
    });
    assert.deepEqual(
      [
        gate.budgetUsed('acme', 'prod', 'run'),
        gate.budgetUsed('acme', 'prod', 'other'),
        gate.budgetUsed('evil', 'prod', 'run'),
      ],
      [9, 0, 0],
    );
  });

  it('goes back in no log, and anywhere in another', () => {
    const gate = loaded({ position: { epoch: 2, seq: 5 } });
    const at = (epoch: number, seq: number) => {
      gate.advance({ epoch, seq });
      return gate.position.seq;
    };
    assert.deepEqual([at(2, 4), at(2, 6), at(3, 1)], [5, 6, 1]);
  });

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
    denies('clock_untrusted', () => gate.admit(verified(), ms - 30_001), { now: ms - 30_001, latest: ms });
  });

  it('measures that from the latest time that it saw itself', () => {
    const gate = loaded();
    gate.admit(verified(), ms);
    gate.admit(verified(), ms - 20_000);
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

  it('knows a nonce for 90 s after its PoP was made, and refuses what is older', () => {
    const g = guard();
    g.spend(nonce('a'), NOW);
    denies('replay_detected', () => g.spend(nonce('a'), NOW + NONCE_LIFE), { keyid: 'k' });
    denies('replay_check_unavailable', () => g.spend(nonce('a'), NOW + NONCE_LIFE + 1), {
      created: NOW,
      known_from: NOW + 1,
    });
  });

  it('forgets the nonces of a second together, and of no later one', () => {
    const g = guard();
    for (const n of ['a', 'b']) g.spend(nonce(n), NOW);
    g.spend(nonce('c', NOW + 1), NOW + 1);
    g.spend(nonce('d', NOW + NONCE_LIFE + 1), NOW + NONCE_LIFE + 1);
    assert.equal(g.size, 2);
  });

  it('does not fall for a clock that was set back', () => {
    const g = guard();
    g.spend(nonce('a'), NOW);
    g.spend(nonce('b', NOW + 200), NOW + 200);
    denies('replay_check_unavailable', () => g.spend(nonce('a'), NOW + 30));
  });

  it('can not vouch for PoPs of a time that it has no memory of', () => {
    const g = guard(100, NOW);
    const facts = { created: NOW + 30, known_from: NOW + 31 };
    denies('replay_check_unavailable', () => g.spend(nonce('a', NOW + 30), NOW + 30), facts);
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
  const line = (lemmaId: string, limit: number, org = 'acme') => ({
    ...{ org, env: 'prod', lemmaId, limit, expires: NOW + 600 },
  });

  it('count this request in', () => {
    assert.deepEqual(
      [createBudgets().reserve([line('a', 5)], NOW)].map((r) => [r?.limit, r?.used]),
      [[5, 1]],
    );
  });

  it('speak for the one with the least left', () => {
    const b = createBudgets();
    b.restore('acme prod run', 9, NOW + 600);
    assert.equal(b.reserve([line('runtime', 100), line('run', 10)], NOW)?.limit, 10);
  });

  it("count one tenant's lemma apart from another's of the same id", () => {
    const b = createBudgets();
    b.reserve([line('chosen', 100)], NOW);
    assert.equal(b.reserve([line('chosen', 100, 'other')], NOW)?.used, 1);
    assert.equal(b.reserve([line('chosen', 100)], NOW)?.used, 2);
  });

  it('count each lemma for itself', () => {
    const b = createBudgets();
    b.reserve([line('runtime', 100), line('run', 10)], NOW);
    assert.equal(b.reserve([line('runtime', 100)], NOW)?.used, 2);
    assert.equal(b.reserve([line('other', 100)], NOW)?.used, 1);
  });

  for (const [runtimeUsed, speaks] of [
    [94, 100],
    [50, 10],
  ] as const) {
    it(`speak for the limit of ${speaks} when ${runtimeUsed} of 100 are used above 1 of 10`, () => {
      const lines = [line('runtime', 100), line('run', 10)];
      for (const asked of [lines, [...lines].reverse()]) {
        const b = createBudgets();
        b.restore('acme prod runtime', runtimeUsed, NOW + 600);
        assert.equal(b.reserve(asked, NOW)?.limit, speaks);
      }
    });
  }

  it('name every line that they count, whichever speaks', () => {
    const lines = [line('runtime', 100), line('run', 10)];
    assert.deepEqual(createBudgets().reserve(lines, NOW)?.lines, lines);
  });

  it('give an operation of each line back', () => {
    const b = createBudgets();
    const lines = [line('runtime', 100), line('run', 10)];
    b.reserve(lines, NOW)?.release();
    assert.deepEqual(
      lines.map((one) => b.reserve([one], NOW)?.used),
      [1, 1],
    );
  });

  it('are kept for a minute after their end, and forgotten after it', () => {
    const b = createBudgets();
    b.reserve([line('kept', 10)], NOW);
    b.reserve([line('later', 10)], NOW + 660);
    assert.equal(b.reserve([line('kept', 10)], NOW + 660)?.used, 2);
    b.reserve([line('later', 10)], NOW + 720);
    assert.equal(b.reserve([line('kept', 10)], NOW + 720)?.used, 1);
  });

  it('are looked through for old ones once a minute', () => {
    const b = createBudgets();
    b.reserve([line('later', 10)], NOW + 640);
    b.reserve([line('old', 10)], NOW + 640);
    assert.equal(b.reserve([line('old', 10)], NOW + 699)?.used, 2);
    assert.equal(b.reserve([line('old', 10)], NOW + 700)?.used, 1);
  });

  it('that are forgotten take nothing back', () => {
    const b = createBudgets();
    const first = b.reserve([line('a', 5)], NOW);
    b.reserve([line('b', 5)], NOW + 700);
    first?.release();
    assert.equal(b.reserve([line('a', 5)], NOW + 700)?.used, 1);
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
