import assert from 'node:assert/strict';
import { createSources, sourceOf } from '../../src/pdp/sources.ts';
import { toRequest } from '../../src/request/envoy.ts';
import { bearing, chain } from '../support/kit.ts';
import { toCheckRequest } from '../support/running.ts';

describe('the limit of a source', () => {
  let now: number;
  let mayAsk: ReturnType<typeof createSources>;

  beforeEach(() => {
    now = 1000;
    mayAsk = createSources(() => now);
  });

  const limit = { rate: 4, burst: 2 };
  const asks = (count: number) => Array.from({ length: count }, () => mayAsk('one', limit));
  const others = (count: number) => {
    for (let i = 0; i < count; i++) mayAsk(`other ${i}`, limit);
  };

  it('lets as many ask at once as a burst may have', () => {
    assert.deepEqual(asks(3), [true, true, false]);
  });

  it('lets one ask again as soon as the rate allows', () => {
    asks(2);
    now += 250;
    assert.deepEqual(asks(2), [true, false]);
  });

  it('lets nobody ask before that', () => {
    asks(2);
    now += 249;
    assert.deepEqual(asks(1), [false]);
  });

  it('saves up no more than a burst', () => {
    asks(2);
    now += 60_000;
    assert.deepEqual(asks(3), [true, true, false]);
  });

  it('remembers one while 9,999 others come', () => {
    asks(2);
    others(9_999);
    assert.deepEqual(asks(1), [false]);
  });

  it('forgets one of whom nothing was heard while 10,000 others came', () => {
    asks(2);
    others(10_000);
    assert.deepEqual(asks(1), [true]);
  });
});

describe('the source of a request', () => {
  const request = toRequest(toCheckRequest(bearing(chain())));
  const of = (address: string, enforcementPoint?: string) =>
    sourceOf({
      ...request,
      source: { address, principal: '' },
      ...(enforcementPoint === undefined ? {} : { enforcementPoint }),
    });

  const cases: readonly (readonly [what: string, address: string, source: string | null])[] = [
    ['an IPv4 address', '192.0.2.1', '192.0.2.1'],
    ['nothing where the address is not known', '', null],
    ['an IPv4 address that is mapped', '::ffff:192.168.100.123', '192.168.100.123'],
    ['the same in hex', '::FFFF:c0a8:647b', '192.168.100.123'],
    ['the same with no zeros left out', '0:0:0:0:0:ffff:192.168.100.123', '192.168.100.123'],
    ['the same in hex with leading zeros', '0000:0000:0000:0000:0000:ffff:0102:0304', '1.2.3.4'],
    ['no mapped address without its mark', '::fffe:c0a8:647b', '0:0:0:0::/64'],
    ['no mapped address where more stands before it', '1::ffff:192.0.2.1', '1:0:0:0::/64'],
    ['the network of an IPv6 address', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['a network in small letters', '2001:DB8:A:B::1', '2001:db8:a:b::/64'],
    ['a network without leading zeros', '2001:0db8:000a:0000::1', '2001:db8:a:0::/64'],
    ['a network whose address begins with zeros left out', '::1', '0:0:0:0::/64'],
    ['a network that ends in what was left out', '2001:db8::', '2001:db8:0:0::/64'],
    ['a network that begins within what was left out', '::1:2:3:4:5:6:7', '0:1:2:3::/64'],
    ['a network with one group left out', '1::2:3:4:5:6:7', '1:0:2:3::/64'],
    ['a network without the zone', 'fe80::1%eth0', 'fe80:0:0:0::/64'],
  ];
  for (const [what, address, source] of cases) {
    it(`is ${what}`, () => {
      assert.equal(of(address), source);
    });
  }

  it('is apart for each enforcement point', () => {
    assert.equal(of('192.0.2.1', 'spiffe://a/1'), 'spiffe://a/1 192.0.2.1');
  });

  it('is the enforcement point where it names no address', () => {
    assert.equal(of('', 'spiffe://a/1'), 'spiffe://a/1');
  });
});
