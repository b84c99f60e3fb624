import assert from 'node:assert/strict';
import { Refusal } from '../../src/authority/refusal.ts';
import { createFlood, sourceOf } from '../../src/server/flood.ts';

describe('a flood', () => {
  let now = 0;
  const limits = { burst: 2, perSecond: 0.5, everyone: { burst: 5, perSecond: 1 } };
  const open = () => {
    now = 0;
    return createFlood(limits, () => now);
  };
  const wait = (ask: () => void): number | null => {
    try {
      ask();
      return null;
    } catch (error) {
      assert.ok(error instanceof Refusal && error.code === 'rate_limited');
      return error.retryAfterS;
    }
  };

  it('is stopped after the burst, and told when to come again', () => {
    const flood = open();
    for (let i = 0; i < 2; i += 1) flood.spend('a');
    assert.equal(
      wait(() => flood.take('a')),
      2,
    );
  });

  it('may go on when that time has passed, and not before', () => {
    const flood = open();
    for (let i = 0; i < 2; i += 1) flood.spend('a');
    now = 1999;
    const before = wait(() => flood.take('a'));
    now = 2000;
    assert.deepEqual([before, wait(() => flood.take('a'))], [1, null]);
  });

  it('stops nobody else', () => {
    const flood = open();
    for (let i = 0; i < 2; i += 1) flood.spend('a');
    assert.equal(
      wait(() => flood.take('b')),
      null,
    );
  });

  it('from many sources is bounded too', () => {
    const flood = open();
    for (const source of ['a', 'b', 'c', 'd', 'e']) flood.spend(source);
    assert.equal(
      wait(() => flood.take('f')),
      1,
    );
  });

  it('does not count what is given back', () => {
    const flood = open();
    for (let i = 0; i < 9; i += 1) {
      flood.take('a');
      flood.giveBack('a');
    }
    assert.equal(
      wait(() => flood.take('a')),
      null,
    );
  });

  for (const [address, source] of [
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2/64'],
    ['2001:db8::6', '2001:db8:0:0/64'],
    ['fe80::1%eth0', 'fe80:0:0:0/64'],
    ['::1', '0:0:0:0/64'],
    [undefined, 'local'],
  ] as const) {
    it(`comes from ${source}, where the address is ${address}`, () => {
      const request = { socket: { remoteAddress: address } } as unknown as Parameters<typeof sourceOf>[0];
      assert.equal(sourceOf(request), source);
    });
  }
});
