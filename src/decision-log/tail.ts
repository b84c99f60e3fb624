import type { FollowedRecord, Tenant } from '../store/model.ts';
import type { FollowFilters } from '../store/query.ts';
import type { Store } from '../store/store.ts';
import type { DecisionLog } from './log.ts';

/** Records that a follower gets next; none: nothing happened for a while. */
export interface TailBatch {
  readonly records: readonly FollowedRecord[];
  /** All up to here were given, or did not match. */
  readonly position: number;
  /** Positions between here and the end of the log, as far as it is known. */
  readonly behind: number;
}

/**
 * The live end of the log for those who look on. Each follower takes records in the order of commit, by position, when it
 * has room: one that is slow falls behind, and reads on from the store, so that nothing is lost, nothing comes twice and
 * nobody waits for it. The latest records are read once for all.
 */
export interface Tail {
  /** The position that the log ends at now. Rejects with `StoreReadError`. */
  end(): Promise<number>;
  /** Records of a tenant after a position, until the signal. Rejects with `StoreReadError`. */
  follow(
    tenant: Tenant,
    filters: FollowFilters,
    after: number,
    signal: AbortSignal,
  ): AsyncGenerator<TailBatch, void, undefined>;
  /** Has every follower look at what else it follows: it gets a batch, be it empty. */
  wake(): void;
  close(): void;
}

export interface TailOptions {
  readonly store: Pick<Store, 'followRecords' | 'logEnd'>;
  readonly log: Pick<DecisionLog, 'onRecord'>;
  /** A follower that gets nothing for so long gets an empty batch (15,000). */
  readonly quietMs?: number;
  /** Records that are kept for all (2,000). */
  readonly keep?: number;
}

/** Records of one batch: the most that a follower holds. */
const BATCH = 50;
const PAGE = 500;
const KEPT_BYTES = 8 * 1024 * 1024;
/** Records that come within so many milliseconds are read together. */
const GATHER_MS = 20;
const RETRY_MS = 1000;

export function createTail({ store, log, quietMs = 15_000, keep = 2000 }: TailOptions): Tail {
  /** All records with positions in (`from`, `to`]. */
  const kept = { records: [] as FollowedRecord[], bytes: 0, from: 0, to: 0 };
  let followers = 0;
  let started: Promise<void> | undefined;
  let reading = false;
  let again = false;
  let closed = false;
  let woken = 0;
  let change = Promise.withResolvers<void>();

  function notify(): void {
    change.resolve();
    change = Promise.withResolvers();
  }

  function push(record: FollowedRecord): void {
    kept.records.push(record);
    kept.bytes += record.line.length;
  }

  function trim(): void {
    let drop = 0;
    while (kept.records.length - drop > keep || kept.bytes > KEPT_BYTES) {
      const oldest = kept.records[drop];
      if (oldest === undefined) break;
      kept.bytes -= oldest.line.length;
      kept.from = oldest.position;
      drop += 1;
    }
    if (drop > 0) kept.records.splice(0, drop);
  }

  function schedule(ms: number): void {
    if (closed || followers === 0) return;
    if (reading) again = true;
    else {
      reading = true;
      setTimeout(() => void read(), ms).unref();
    }
  }

  async function read(): Promise<void> {
    again = false;
    let wait: number | null = null;
    try {
      await started;
      for (let done = false; !done && followers > 0; ) {
        const { to } = kept;
        const page = await store.followRecords('any', {}, to, PAGE);
        // All had gone meanwhile, and others came.
        if (kept.to !== to) continue;
        for (const record of page.records) push(record);
        kept.to = page.next;
        trim();
        done = page.done;
        notify();
      }
      if (again) wait = GATHER_MS;
    } catch {
      // Each follower hears of it where it reads itself; here it is tried again.
      wait = RETRY_MS;
    }
    reading = false;
    if (wait !== null) schedule(wait);
  }

  /** From the end as it is now: what came before is read from the store by whom it concerns. */
  async function start(): Promise<void> {
    const { position } = await store.logEnd();
    Object.assign(kept, { records: [], bytes: 0, from: position, to: position });
  }

  const unsubscribe = log.onRecord(() => schedule(GATHER_MS));

  async function next(tenant: Tenant, filters: FollowFilters, after: number) {
    if (after < kept.from) {
      const page = await store.followRecords(tenant, filters, after, BATCH);
      return { records: page.records, position: page.next };
    }
    const records: FollowedRecord[] = [];
    let position = Math.max(after, kept.to);
    for (let at = firstAfter(kept.records, after); at < kept.records.length; at++) {
      const record = kept.records[at];
      if (record === undefined || !matches(record, tenant, filters)) continue;
      records.push(record);
      if (records.length < BATCH) continue;
      position = record.position;
      break;
    }
    return { records, position };
  }

  return {
    end: async () => (await store.logEnd()).position,
    async *follow(tenant, filters, after, signal) {
      followers += 1;
      try {
        if (followers === 1) started = start();
        await started;
        let position = after;
        let seen = woken;
        let given = performance.now();
        while (!signal.aborted && !closed) {
          const changed = change.promise;
          const batch = await next(tenant, filters, position);
          const moved = batch.position > position;
          position = batch.position;
          if (batch.records.length > 0 || woken !== seen || performance.now() - given >= quietMs) {
            seen = woken;
            yield { ...batch, behind: Math.max(0, kept.to - position) };
            given = performance.now();
          } else if (!moved) await either(changed, signal, given + quietMs - performance.now());
        }
      } finally {
        followers -= 1;
      }
    },
    wake() {
      woken += 1;
      notify();
    },
    close() {
      closed = true;
      unsubscribe();
      notify();
    },
  };
}

function matches(
  record: FollowedRecord,
  { org, env }: Tenant,
  { since, ...filters }: FollowFilters,
): boolean {
  if (record.org !== org || record.env !== env || record.time < (since ?? 0)) return false;
  return Object.entries(filters).every(
    ([name, value]) => value === undefined || record[name as keyof typeof filters] === value,
  );
}

/** Index of the first record after a position. */
function firstAfter(records: readonly FollowedRecord[], position: number): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((records[middle]?.position ?? 0) <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Resolves with the change, the signal, or after `ms`, whichever comes first. */
function either(change: Promise<void>, signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, Math.max(1, ms)).unref();
    signal.addEventListener('abort', done);
    void change.then(done);
    if (signal.aborted) done();
  });
}
