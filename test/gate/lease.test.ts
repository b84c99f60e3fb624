import assert from 'node:assert/strict';
import { createLeaseHolder, type Moment } from '../../src/gate/lease.ts';

const AT = { epoch: 7, seq: 10 };
const terms = (over: Partial<{ epoch: number; seq: number; time: number }> = {}) => ({
  ...AT,
  max_age_ms: 30_000,
  time: 1_000_000,
  ...over,
});

function world() {
  const now = { steady: 0, wall: 1_000_000 };
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
});
