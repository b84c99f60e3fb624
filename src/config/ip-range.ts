import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** What an address reaches: anybody, this network, this machine, or nothing that a request should ever go to. */
export type Reach = 'public' | 'private' | 'loopback' | 'never';

export interface Range {
  readonly reach: Reach;
  /** For people: `link-local`, `loopback`, … */
  readonly name: string;
}

/** The registries of special-purpose addresses (RFC 6890, IANA), and where clouds keep a machine's credentials. */
const RANGES: readonly (readonly [cidr: string, reach: Reach, name: string])[] = [
  ['168.63.129.16/32', 'never', 'cloud metadata'],
  ['100.100.100.200/32', 'never', 'cloud metadata'],
  ['fd00:ec2::/32', 'never', 'cloud metadata'],
  ['fd20:ce::/32', 'never', 'cloud metadata'],
  ['169.254.0.0/16', 'never', 'link-local'],
  ['fe80::/10', 'never', 'link-local'],
  ['0.0.0.0/8', 'never', 'unspecified'],
  ['::/128', 'never', 'unspecified'],
  ['224.0.0.0/4', 'never', 'multicast'],
  ['ff00::/8', 'never', 'multicast'],
  ['192.0.0.0/24', 'never', 'reserved'],
  ['192.0.2.0/24', 'never', 'reserved'],
  ['192.88.99.0/24', 'never', 'reserved'],
  ['198.51.100.0/24', 'never', 'reserved'],
  ['203.0.113.0/24', 'never', 'reserved'],
  ['240.0.0.0/4', 'never', 'reserved'],
  ['2001::/23', 'never', 'reserved'],
  ['2001:db8::/32', 'never', 'reserved'],
  ['3fff::/20', 'never', 'reserved'],
  // RFC 8215: a network's own NAT64, where nobody can say which IPv4 address is meant.
  ['64:ff9b:1::/48', 'never', 'reserved'],
  ['127.0.0.0/8', 'loopback', 'loopback'],
  ['::1/128', 'loopback', 'loopback'],
  ['10.0.0.0/8', 'private', 'private'],
  ['100.64.0.0/10', 'private', 'private'],
  ['172.16.0.0/12', 'private', 'private'],
  ['192.168.0.0/16', 'private', 'private'],
  ['198.18.0.0/15', 'private', 'private'],
  ['fc00::/7', 'private', 'private'],
  ['fec0::/10', 'private', 'private'],
];

const PUBLIC: Range = { reach: 'public', name: 'public' };
const RESERVED: Range = { reach: 'never', name: 'reserved' };

/** The first that has an address is its range. */
const LISTS = RANGES.map(([cidr, reach, name]) => ({ list: listOf(cidr), range: { reach, name } }));
const GLOBAL_IPV6 = listOf('2000::/3');
/** IPv6 that stands for an IPv4 address, and the 16-bit group that this begins at. */
const EMBEDDING: readonly (readonly [list: BlockList, group: number])[] = [
  [listOf('::ffff:0:0/96'), 6],
  [listOf('::ffff:0:0:0/96'), 6],
  [listOf('::/96'), 6],
  [listOf('64:ff9b::/96'), 6],
  [listOf('2002::/16'), 1],
];

/**
 * The range of an IP address, of which IPv4 has four decimal numbers and IPv6 no brackets. What only stands for an IPv4
 * address (mapped, NAT64, 6to4) is of that address's range; what is no address at all is reserved.
 */
export function rangeOf(address: string): Range {
  if (isIPv4(address)) return found(address, 'ipv4') ?? PUBLIC;
  if (!isIPv6(address) || address.includes('%')) return RESERVED;
  const own = found(address, 'ipv6');
  if (own !== null) return own;
  const embedding = EMBEDDING.find(([list]) => list.check(address, 'ipv6'));
  if (embedding !== undefined) return rangeOf(embedded(address, embedding[1]));
  return GLOBAL_IPV6.check(address, 'ipv6') ? PUBLIC : RESERVED;
}

function found(address: string, family: 'ipv4' | 'ipv6'): Range | null {
  return LISTS.find(({ list }) => list.check(address, family))?.range ?? null;
}

function listOf(cidr: string): BlockList {
  const [network = '', bits = ''] = cidr.split('/');
  const list = new BlockList();
  list.addSubnet(network, Number(bits), isIPv4(network) ? 'ipv4' : 'ipv6');
  return list;
}

function embedded(address: string, group: number): string {
  const groups = groupsOf(address);
  return [groups[group] ?? 0, groups[group + 1] ?? 0].flatMap((g) => [g >> 8, g & 255]).join('.');
}

/** The eight groups of an IPv6 address; the WHATWG parser writes a dotted end as two of them. */
function groupsOf(address: string): number[] {
  const text = URL.parse(`http://[${address}]`)?.hostname.slice(1, -1) ?? '';
  const [before = [], after = []] = text
    .split('::')
    .map((half) => half.split(':').filter((group) => group !== ''))
    .map((half) => half.map((group) => Number.parseInt(group, 16)));
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return [...before, ...zeros, ...after];
}
