import assert from 'node:assert/strict';
import { createGate } from '../../src/gate/gate.ts';
import { createLeaseHolder, type Moment } from '../../src/gate/lease.ts';
import type { LiveRuntime } from '../../src/gate/runtimes.ts';

const AT = { epoch: 7, seq: 10 };
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

describe('a gate whose authority began another log', () => {
  it('brings nothing back to life, and lowers no taint epoch', () => {
    const gate = createGate();
    const runtime = (runtime_id: string, over: Partial<LiveRuntime> = {}): LiveRuntime => ({
      org: 'acme',
      env: 'prod',
      runtime_id,
      agent_id: 'a',
      workspace_id: 'w',
      profile: 'low',
      subject: 's',
      keys: null,
      status: 'active',
      registered_at: 0,
      taint_epoch: 0,
      ...over,
    });
    const nothing = { revocations: [], nonces: [], budgets: [], memoryLostAt: null, latestRecord: 0 };
    const before = [
      runtime('killed', { status: 'killed' }),
      runtime('tainted', { taint_epoch: 3 }),
      runtime('gone'),
    ];
    gate.load({ ...nothing, runtimes: before, position: AT });
    const after = [runtime('killed'), runtime('tainted')];
    gate.replace({ runtimes: after, revocations: [], position: { epoch: 8, seq: 2 }, fencedAt: null });
    const found = ['killed', 'tainted', 'gone'].map((id) => gate.runtime('acme', 'prod', id));
    assert.deepEqual(
      found.map((one) => [one?.status, one?.taint_epoch]),
      [
        ['killed', 0],
        ['active', 3],
        ['inactive', 0],
      ],
    );
    assert.deepEqual(gate.position, { epoch: 8, seq: 2 });
  });
});
