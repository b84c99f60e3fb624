import { isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { Refusal } from '../authority/refusal.ts';

/** How many at once, and how many a second after that: of one source, and of all together. */
export interface FloodLimits {
  readonly burst: number;
  readonly perSecond: number;
  readonly everyone: { readonly burst: number; readonly perSecond: number };
}

/** Bounds what strangers may have done for them. Only in memory: it never asks the store, which decisions wait for. */
export interface Flood {
  /** Refusal: rate_limited with Retry-After, where the source, or everybody together, has no more. */
  take(source: string): void;
  /** The same without asking, and its opposite, where it turned out to be due, or not. */
  spend(source: string): void;
  giveBack(source: string): void;
}

interface Bucket {
  left: number;
  at: number;
}

/** More would be memory for whoever has many addresses; the oldest go, who have waited longest. */
const SOURCES_AT_MOST = 10_000;

/** Token buckets. `clock`: milliseconds that never go back. */
export function createFlood(limits: FloodLimits, clock: () => number = () => performance.now()): Flood {
  const sources = new Map<string, Bucket>();
  const everyone: Bucket = { left: limits.everyone.burst, at: clock() };

  function bucketOf(source: string): Bucket {
    const known = sources.get(source);
    const bucket = known ?? { left: limits.burst, at: clock() };
    sources.delete(source);
    sources.set(source, bucket);
    if (sources.size > SOURCES_AT_MOST) {
      const [oldest] = sources.keys();
      if (oldest !== undefined) sources.delete(oldest);
    }
    return bucket;
  }

  function refill(bucket: Bucket, { burst, perSecond }: { burst: number; perSecond: number }): Bucket {
    const now = clock();
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.at) / 1000) * perSecond);
    bucket.at = now;
    return bucket;
  }

  const own = (source: string) => refill(bucketOf(source), limits);
  const all = () => refill(everyone, limits.everyone);

  const charge = (source: string, amount: number) => {
    own(source).left -= amount;
    all().left -= amount;
  };

  return {
    take(source) {
      const wait = Math.max(
        (1 - own(source).left) / limits.perSecond,
        (1 - all().left) / limits.everyone.perSecond,
      );
      if (wait > 0) throw new Refusal('rate_limited', 'too many of these: wait', Math.ceil(wait));
      charge(source, 1);
    },
    spend: (source) => charge(source, 1),
    giveBack: (source) => charge(source, -1),
  };
}

/**
 * Who is counted as one: the address that the connection came from, of IPv6 the /64, which is one host's to vary. No
 * header says otherwise: a client would write its own.
 */
export function sourceOf({ socket }: FastifyRequest): string {
  const address = socket.remoteAddress ?? 'local';
  if (!isIPv6(address)) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  return mapped ?? `${firstHalf(address)}/64`;
}

/** The first four groups, with what `::` stands for among them. */
function firstHalf(address: string): string {
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  return [...before, ...Array.from({ length: zeros }, () => '0'), ...after].slice(0, 4).join(':');
}
