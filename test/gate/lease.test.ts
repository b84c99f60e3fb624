import assert from 'node:assert/strict';
import { createLeaseHolder, type Moment } from '../../src/gate/lease.ts';
import type { LiveRuntime } from '../../src/gate/runtimes.ts';
import { NOW } from '../support/kit.ts';
import { loaded, runtime, verified } from './support.ts';

const AT = { epoch: 7, seq: 10 };
const ms = NOW * 1000;
const terms = (over: Partial<{ epoch: number; seq: number; time: number }> = {}) => ({
  ...AT,
  max_age_ms: 30_000,
  time: 1_000_000,
  ...over,
});

function world() {
  const now = { steady: 5_000, wall: 1_000_000 };
  const holder = createLeaseHolder(() => ({ ...now }));
  const pass = (steady: number, wall = steady) => {
    now.steady += steady;
    now.wall += wall;
  };
  const sent = (): Moment => ({ ...now });
  return { holder, pass, sent };
}

describe('the lease of a node', () => {
  it('counts its age from the moment of sending', () => {
    const { holder, pass, sent } = world();
    const asked = sent();
    pass(400);
    holder.renew(terms(), asked);
    pass(100);
    assert.equal(holder.age(AT), 500);
  });

  it('holds only where what it names was applied', () => {
    const { holder, sent } = world();
    holder.renew(terms({ seq: 11 }), sent());
    assert.equal(holder.age(AT), Number.POSITIVE_INFINITY);
    assert.equal(holder.age({ epoch: 7, seq: 11 }), 0);
    assert.equal(holder.age({ epoch: 8, seq: 11 }), Number.POSITIVE_INFINITY);
  });

  it('has ended after its life, and without one', () => {
    const { holder, pass, sent } = world();
    assert.equal(holder.ended(AT), true);
    holder.renew(terms(), sent());
    pass(30_000);
    assert.equal(holder.ended(AT), false);
    pass(1);
    assert.equal(holder.ended(AT), true);
  });

  it('is as old as the wall clock says where the monotonic one stood still', () => {
    const { holder, pass, sent } = world();
    holder.renew(terms(), sent());
    pass(10, 3_600_000);
    assert.equal(holder.ended(AT), true);
  });

  it('is no younger after the wall clock was set back', () => {
    const { holder, pass, sent } = world();
    holder.renew(terms(), sent());
    pass(31_000, -3_600_000);
    assert.equal(holder.ended(AT), true);
  });

  it("tells how far this clock is from the authority's", () => {
    const { holder, sent } = world();
    holder.renew(terms({ time: 1_060_000 }), sent());
    assert.equal(holder.skew(), -60_000);
  });

  it('confirms only what was asked for after the call', () => {
    const { holder, pass, sent } = world();
    holder.renew(terms(), sent());
    pass(1);
    const since = sent().steady;
    assert.equal(holder.confirmedSince(since, AT), false);
    holder.renew(terms(), sent());
    assert.equal(holder.confirmedSince(since, AT), true);
  });

  it('confirms nothing where none is held', () => {
    const { holder, sent } = world();
    assert.equal(holder.confirmedSince(sent().steady, AT), false);
  });

  it('says nothing of clocks, and wants nothing, where none is held', () => {
    const { holder } = world();
    assert.deepEqual([holder.skew(), holder.wanted()], [0, null]);
  });

  it('names what must have been applied', () => {
    const { holder, sent } = world();
    holder.renew(terms({ seq: 12 }), sent());
    assert.deepEqual([holder.wanted()?.epoch, holder.wanted()?.seq], [7, 12]);
  });

  it('is the one that was asked for last, whichever answer comes last', () => {
    const { holder, pass, sent } = world();
    const first = sent();
    pass(100);
    const second = sent();
    holder.renew(terms({ time: 1_060_000 }), second);
    holder.renew(terms({ time: 1_000_000 }), first);
    assert.deepEqual([holder.age(AT), holder.skew()], [0, -59_900]);
  });

  it('waits for its events behind seven others, and is forgotten behind eight', () => {
    const { holder, pass, sent } = world();
    const renew = (seq: number) => {
      pass(1);
      holder.renew(terms({ seq }), sent());
    };
    for (let seq = 10; seq < 18; seq += 1) renew(seq);
    assert.equal(holder.age(AT), 7);
    renew(18);
    assert.equal(holder.age(AT), Number.POSITIVE_INFINITY);
  });

  it("is held against this machine's clocks", () => {
    const { steady, wall } = createLeaseHolder().now();
    assert.ok(Math.abs(steady - performance.now()) < 60_000 && Math.abs(wall - Date.now()) < 60_000);
  });
});

describe('a gate that holds by a lease', () => {
  function held(over: Parameters<typeof terms>[0] = {}) {
    const { holder, pass, sent } = world();
    const gate = loaded({ position: AT }, { lease: holder });
    return { gate, pass, renew: () => holder.renew(terms(over), sent()) };
  }
  const ACTOR = { runtime_id: 'bot-1', org: 'acme', env: 'prod' };

  it('admits nobody without one', () => {
    const { gate } = held();
    assert.throws(() => gate.admit(verified(), ms), {
      code: 'freshness_stale',
      facts: { ...ACTOR, age_ms: Number.MAX_SAFE_INTEGER },
    });
    assert.equal(gate.stopped(verified()), 'freshness_stale');
    assert.equal(gate.freshness().age_ms, Number.MAX_SAFE_INTEGER);
  });

  it('admits while it lasts, and lets nothing through that was admitted before its end', () => {
    const { gate, pass, renew } = held();
    renew();
    pass(30_000);
    assert.equal(gate.admit(verified(), ms).runtime_id, 'bot-1');
    assert.equal(gate.stopped(verified()), null);
    pass(1);
    assert.throws(() => gate.admit(verified(), ms), {
      code: 'freshness_stale',
      facts: { ...ACTOR, age_ms: 30_001 },
    });
    assert.equal(gate.stopped(verified()), 'freshness_stale');
  });

  it('is as fresh as it, and of itself confirms nothing', () => {
    const { gate, pass, renew } = held();
    renew();
    pass(499.5);
    assert.deepEqual(gate.freshness(), { age_ms: 500, source: 'lease', confirmed: false, ...AT });
  });

  it('admits nobody where it is of another place', () => {
    const { gate, renew } = held({ seq: 11 });
    renew();
    assert.equal(gate.stopped(verified()), 'freshness_stale');
    gate.advance({ epoch: 7, seq: 11 });
    assert.equal(gate.stopped(verified()), null);
  });

  for (const [by, skew_ms] of [
    [30_000, null],
    [-30_000, null],
    [30_001, -30_001],
    [-30_001, 30_001],
  ] as const) {
    it(`trusts ${skew_ms === null ? 'a' : 'no'} clock that is ${by} ms from the authority's`, () => {
      const { gate, renew } = held({ time: 1_000_000 + by });
      renew();
      if (skew_ms === null) assert.ok(gate.admit(verified(), ms));
      else assert.throws(() => gate.admit(verified(), ms), { code: 'clock_untrusted', facts: { skew_ms } });
    });
  }
});

describe('a gate whose authority began another log', () => {
  const other = (runtime_id: string, over: Partial<LiveRuntime> = {}) => ({
    ...runtime,
    runtime_id,
    ...over,
  });
  const place = { epoch: 8, seq: 2 };

  it('brings nothing back to life, and lowers no taint epoch', () => {
    const gate = loaded({
      runtimes: [
        other('killed', { status: 'killed' }),
        other('tainted', { taint_epoch: 3 }),
        other('gone'),
        other('killed and gone', { status: 'killed' }),
      ],
    });
    const after = [other('killed'), other('tainted'), other('new', { taint_epoch: 1 })];
    gate.replace({ runtimes: after, revocations: [], position: place, fencedAt: null });
    const found = ['killed', 'tainted', 'gone', 'killed and gone', 'new'].map((id) =>
      gate.runtime('acme', 'prod', id),
    );
    assert.deepEqual(
      found.map((one) => [one?.status, one?.taint_epoch]),
      [
        ['killed', 0],
        ['active', 3],
        ['inactive', 0],
        ['killed', 0],
        ['active', 1],
      ],
    );
    assert.deepEqual(gate.position, place);
  });

  it('forgets nothing that was taken back, and learns what was', () => {
    const revocation = (value: string) => ({ org: 'acme', env: 'prod', kind: 'key', value }) as const;
    const gate = loaded({ revocations: [revocation('before')] });
    gate.replace({ runtimes: [], revocations: [revocation('after')], position: place });
    assert.deepEqual(
      [...gate.revocations()].map(({ value }) => value),
      ['before', 'after'],
    );
  });

  for (const [before, after, fencedAt] of [
    [undefined, undefined, null],
    [undefined, 600, 600],
    [500, undefined, 500],
    [500, 400, 500],
    [500, 600, 600],
  ] as const) {
    it(`moves no fence back (${before ?? 'none'}, ${after ?? 'none'})`, () => {
      const gate = loaded({ fencedAt: before ?? null });
      gate.replace({ runtimes: [], revocations: [], position: place, fencedAt: after ?? null });
      assert.equal(gate.fencedAt, fencedAt);
    });
  }
});
