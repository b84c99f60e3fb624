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

/** An IPv6 site has 2^64 addresses: it counts as one. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [before = '', after] = address.split('%')[0]?.toLowerCase().split('::') ?? [];
  const head = before === '' ? [] : before.split(':');
  const tail = after === undefined || after === '' ? [] : after.split(':');
  const zeros = after === undefined ? 0 : 8 - head.length - tail.length;
  const groups = [...head, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...tail];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
