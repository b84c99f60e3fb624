import { isIPv6 } from 'node:net';
import type { Limits } from '../schema/config.ts';
import type { AuthzRequest } from '../schema/request.ts';

type SourceLimit = NonNullable<Limits['per_source']>;

interface Bucket {
  tokens: number;
  at: number;
}

/**
 * Buckets that are remembered. Of more sources than this the least recent are forgotten, and so are full again: their
 * crowd is for the lane to shed, and this for the one that asks too often.
 */
const SOURCES_AT_MOST = 10_000;

/**
 * Whether a source may ask once more, of a token bucket of its own; counts it where it may.
 *
 * @param now milliseconds of a clock that never goes back
 */
export function createSources(now: () => number): (source: string, limit: SourceLimit) => boolean {
  let recent = new Map<string, Bucket>();
  let older = new Map<string, Bucket>();

  function bucketOf(source: string, full: number): Bucket {
    const known = recent.get(source);
    if (known !== undefined) return known;
    const bucket = older.get(source) ?? { tokens: full, at: now() };
    if (recent.size >= SOURCES_AT_MOST / 2) {
      older = recent;
      recent = new Map();
    }
    recent.set(source, bucket);
    return bucket;
  }

  return (source, { rate, burst }) => {
    const bucket = bucketOf(source, burst);
    const at = now();
    bucket.tokens = Math.min(burst, bucket.tokens + ((at - bucket.at) * rate) / 1000);
    bucket.at = at;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  };
}

/**
 * Who a request comes from, for a limit: the caller's address as the enforcement point reports it, apart for each
 * enforcement point that shows who it is, so that none uses up another's. Not the connection to us: an Envoy sends
 * everybody's requests over one. Null where nothing is known.
 */
export function sourceOf({ source, enforcementPoint = '' }: AuthzRequest): string | null {
  const network = networkOf(source.address);
  return network === '' && enforcementPoint === '' ? null : `${enforcementPoint} ${network}`.trim();
}

/** An IPv6 site has 2^64 addresses: it counts as one. An IPv4 address is the same in each of its IPv6 forms (RFC 4291, 2.5.5.2). */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const groups = groupsOf(address);
  const [high = 0, low = 0] = groups.slice(6);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff)
    return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/** The eight numbers of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [before = '', after] = address.split('%')[0]?.split('::') ?? [];
  const head = numbersOf(before);
  const tail = numbersOf(after ?? '');
  const zeros = after === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  return [...head, ...Array.from({ length: zeros }, () => 0), ...tail];
}

/** Groups in hex; the last may be two of them, as an IPv4 address. */
function numbersOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}
