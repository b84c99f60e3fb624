import { deepEqual, equal } from 'node:assert/strict';
import { rangeOf } from '../../src/config/ip-range.ts';

describe('config: what an address reaches', () => {
  for (const [address, reach, name] of [
    ['93.184.216.34', 'public', 'public'],
    ['1.1.1.1', 'public', 'public'],
    ['172.15.255.255', 'public', 'public'],
    ['172.32.0.0', 'public', 'public'],
    ['100.63.255.255', 'public', 'public'],
    ['2606:4700::1111', 'public', 'public'],
    ['10.0.0.1', 'private', 'private'],
    ['172.16.0.1', 'private', 'private'],
    ['172.31.255.255', 'private', 'private'],
    ['192.168.1.1', 'private', 'private'],
    ['100.64.0.1', 'private', 'private'],
    ['198.19.0.1', 'private', 'private'],
    ['fd12:3456::1', 'private', 'private'],
    ['fec0::1', 'private', 'private'],
    ['127.0.0.1', 'loopback', 'loopback'],
    ['127.255.255.254', 'loopback', 'loopback'],
    ['::1', 'loopback', 'loopback'],
    ['0:0:0:0:0:0:0:1', 'loopback', 'loopback'],
    ['169.254.169.254', 'never', 'link-local'],
    ['fe80::1', 'never', 'link-local'],
    ['fe80::1%lo', 'never', 'reserved'],
    ['febf::1', 'never', 'link-local'],
    ['168.63.129.16', 'never', 'cloud metadata'],
    ['100.100.100.200', 'never', 'cloud metadata'],
    ['fd00:ec2::254', 'never', 'cloud metadata'],
    ['0.0.0.0', 'never', 'unspecified'],
    ['0.1.2.3', 'never', 'unspecified'],
    ['::', 'never', 'unspecified'],
    ['224.0.0.1', 'never', 'multicast'],
    ['ff02::1', 'never', 'multicast'],
    ['255.255.255.255', 'never', 'reserved'],
    ['192.0.0.192', 'never', 'reserved'],
    ['2001:db8::1', 'never', 'reserved'],
    ['2001:0:4136:e378:8000:63bf:3fff:fdd2', 'never', 'reserved'],
    ['64:ff9b:1::a9fe:a9fe', 'never', 'reserved'],
    ['4000::1', 'never', 'reserved'],
  ] as const) {
    it(`${address}: ${name}`, () => deepEqual(rangeOf(address), { reach, name }));
  }

  for (const [form, public_, metadata, loopback] of [
    ['mapped', '::ffff:93.184.216.34', '::ffff:169.254.169.254', '::ffff:7f00:1'],
    ['mapped, written out', '0:0:0:0:0:ffff:5db8:d822', '0:0:0:0:0:ffff:a9fe:a9fe', '0:0::ffff:127.0.0.1'],
    ['translated', '::ffff:0:5db8:d822', '::ffff:0:a9fe:a9fe', '::ffff:0:127.0.0.1'],
    ['compatible', '::93.184.216.34', '::169.254.169.254', '::127.0.0.1'],
    ['NAT64', '64:ff9b::93.184.216.34', '64:ff9b::a9fe:a9fe', '64:ff9b::127.0.0.1'],
    ['6to4', '2002:5db8:d822::1', '2002:a9fe:a9fe::', '2002:7f00:1:5::9'],
  ] as const) {
    it(`is that of the IPv4 address that is meant: ${form}`, () => {
      deepEqual(
        [public_, metadata, loopback].map((address) => rangeOf(address).reach),
        ['public', 'never', 'loopback'],
      );
    });
  }

  for (const text of ['', 'localhost', '2130706433', '0x7f.1', '127.1', '0177.0.0.1', '[::1]', ' 1.1.1.1']) {
    it(`is nothing for what is no address: "${text}"`, () => equal(rangeOf(text).reach, 'never'));
  }
});
