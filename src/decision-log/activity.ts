import type { RecordBody } from '../schema/decision.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { type Awake, createAwake } from './awake.ts';
import { MINUTE, MINUTES_KEPT, type Minutes, minutes } from './minutes.ts';

/** What one runtime was denied, and why. Null: of all that there was no room to count apart. */
export interface Denials {
  readonly runtime_id: string | null;
  readonly reason: string;
  /** By the clock of `TenantActivity.awake`. */
  readonly counts: Minutes;
}

/** What happened in a tenant in the last hour, by minute. */
export interface TenantActivity {
  readonly allow: Minutes;
  readonly deny: Minutes;
  readonly reasons: ReadonlyMap<string, Minutes>;
  readonly denials: Iterable<Denials>;
  readonly awake: Awake;
  /** Decisions about legacy tokens, by runtime. */
  readonly legacy: ReadonlyMap<string, Minutes>;
  /** Runtimes that were decided about since a time (ms). */
  activeSince(since: number): number;
  /** All was counted from this time on (ms). */
  readonly since: number;
}

/** Counts as records are written: nothing is read to answer a question. Memory is bounded by what is told apart. */
export interface Activity {
  /** For `DecisionLog.onRecord`. */
  recorded(record: RecordBody): void;
  of(tenant: Tenant): TenantActivity;
  /** Adds what is in the store of the last hour, up to a position; at most so many records a tenant as below. */
  warm(store: Pick<Store, 'countRecords'>, tenants: readonly Tenant[], upTo: number): Promise<void>;
}

const DENIALS_AT_MOST = 20_000;
const REASONS_AT_MOST = 200;
const LEGACY_AT_MOST = 10_000;
const RUNTIMES_AT_MOST = 100_000;
const OTHER = 'other';
/** The warm-up looks at spans of this length, and at so many records of each at most. */
const WARM_STEP = 10_000;
const WARM_ENTRIES = 20_000;
const WARM_AT_MOST = 2_000_000;

type Counts = ReturnType<typeof newCounts>;

export function createActivity(clock: () => number): Activity {
  const started = clock();
  const tenants = new Map<string, Counts>();

  function countsOf({ org, env }: Tenant): Counts {
    const key = `${org}/${env}`;
    const known = tenants.get(key);
    if (known !== undefined) return known;
    const fresh = newCounts(started);
    tenants.set(key, fresh);
    return fresh;
  }

  return {
    recorded(record) {
      const { time, verdict, reason, actor, input, requests = 1 } = record;
      const runtime = actor?.runtime_id ?? null;
      const counts = countsOf(record);
      count(counts, { time, verdict, reason, runtime, times: requests });
      if (input?.legacy.token === true) add(counts.legacy, runtime ?? '-', LEGACY_AT_MOST, time, requests);
    },
    of: (tenant) => viewOf(countsOf(tenant)),
    async warm(store, known, upTo) {
      for (const tenant of known) {
        const counts = countsOf(tenant);
        let left = WARM_AT_MOST;
        const oldest = (Math.floor(started / MINUTE) - MINUTES_KEPT + 2) * MINUTE;
        // Whole steps: each lies in one minute.
        const end = (Math.floor(started / WARM_STEP) + 1) * WARM_STEP;
        for (let until = end; until > oldest && left > 0; until -= WARM_STEP) {
          const since = until - WARM_STEP;
          const range = { since, until, upTo, entries: WARM_ENTRIES };
          const found = await store.countRecords(tenant, range);
          if (!found.whole) break;
          for (const { verdict, reason, runtime_id: runtime, count: times } of found.counts) {
            count(counts, { time: since, verdict, reason, runtime, times });
            left -= times;
          }
          counts.since = since;
        }
      }
    },
  };
}

function newCounts(since: number) {
  return {
    allow: minutes(),
    deny: minutes(),
    reasons: new Map<string, Minutes>(),
    denials: new Map<string, Denials>(),
    legacy: new Map<string, Minutes>(),
    /** The last time (ms) of each; since half of the room was taken, the one that was seen longest ago first. */
    runtimes: new Map<string, number>(),
    awake: createAwake(),
    since,
  };
}

interface Counted {
  readonly time: number;
  readonly verdict: 'allow' | 'deny';
  readonly reason: string;
  readonly runtime: string | null;
  readonly times: number;
}

function count(counts: Counts, { time, verdict, reason, runtime, times }: Counted): void {
  const awake = counts.awake.wake(time);
  counts[verdict].add(time, times);
  add(counts.reasons, reason, REASONS_AT_MOST, time, times);
  if (runtime !== null) {
    const seen = Math.max(counts.runtimes.get(runtime) ?? 0, time);
    // Not for each record: a Map leaves a table in V8's old space for every few that are taken out and put back.
    if (counts.runtimes.size * 2 > RUNTIMES_AT_MOST) counts.runtimes.delete(runtime);
    counts.runtimes.set(runtime, seen);
    if (counts.runtimes.size > RUNTIMES_AT_MOST) {
      const [first] = counts.runtimes.keys();
      if (first !== undefined) counts.runtimes.delete(first);
    }
  }
  if (verdict === 'deny') denialsOf(counts.denials, runtime ?? '-', reason, awake).counts.add(awake, times);
}

function add(into: Map<string, Minutes>, key: string, atMost: number, time: number, times: number): void {
  const known = into.get(key);
  const name = known === undefined && into.size >= atMost ? OTHER : key;
  const counts = into.get(name) ?? minutes();
  if (!into.has(name)) into.set(name, counts);
  counts.add(time, times);
}

function denialsOf(denials: Map<string, Denials>, runtime: string, reason: string, time: number): Denials {
  const key = `${runtime} ${reason}`;
  const known = denials.get(key);
  if (known !== undefined) return known;
  if (denials.size >= DENIALS_AT_MOST) forgetIdle(denials, time);
  const room = denials.size < DENIALS_AT_MOST;
  const name = room ? key : `* ${reason}`;
  const found = denials.get(name) ?? { runtime_id: room ? runtime : null, reason, counts: minutes() };
  denials.set(name, found);
  return found;
}

function forgetIdle(denials: Map<string, Denials>, time: number): void {
  const idle = Math.floor(time / MINUTE) - MINUTES_KEPT;
  for (const [key, { counts }] of denials) if (counts.last < idle) denials.delete(key);
}

function viewOf(counts: Counts): TenantActivity {
  return {
    allow: counts.allow,
    deny: counts.deny,
    reasons: counts.reasons,
    denials: counts.denials.values(),
    awake: counts.awake,
    legacy: counts.legacy,
    since: counts.since,
    activeSince(since) {
      let active = 0;
      for (const seen of counts.runtimes.values()) if (seen >= since) active += 1;
      return active;
    },
  };
}
