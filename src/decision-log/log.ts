import { setImmediate as turn } from 'node:timers/promises';
import type { RecordBody, SpentNonce } from '../schema/decision.ts';
import { StoreWriteError } from '../store/errors.ts';
import type { BudgetUse, NewRecord } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import type { LogKey } from './checkpoint.ts';
import { checkpointer } from './checkpointer.ts';
import { type RecordTexts, toNewRecord } from './record.ts';

export interface LogOptions {
  readonly store: Pick<Store, 'commitRecords' | 'putCheckpoint'>;
  /** Names this node's chain. One process writes to it. */
  readonly node: string;
  /** The key that signs checkpoints now. */
  readonly key: () => LogKey;
  readonly clock: () => number;
  /** Records that may wait to be written, behind and durable ones each (10,000). */
  readonly queueLimit?: number;
  /** A checkpoint is due after this many records (1,000) or milliseconds (10,000). */
  readonly checkpointEvery?: number;
  readonly checkpointMs?: number;
}

export interface Append extends RecordTexts {
  /** False: written behind the answer. A record that spends a nonce or a budget is durable all the same. */
  readonly durable: boolean;
  readonly nonce?: SpentNonce | null;
  readonly budget?: readonly BudgetUse[];
}

/** Counts since the log was opened. `lost`: behind-records that were never written. */
export interface LogStats {
  readonly written: number;
  readonly lost: number;
  readonly queued: number;
  readonly checkpoints: number;
  readonly checkpointsFailed: number;
}

export type RecordListener = (body: RecordBody, seq: number) => void;
export type CommitListener = (commit: { readonly tookMs: number; readonly records: number }) => void;

export interface DecisionLog {
  /**
   * Queues a record; the caller may go away, the record does not. A durable one gives a promise that resolves when it is on
   * disk, and rejects with `StoreWriteError` (answer: deny `audit_unavailable`) or `NonceSpentError` (`replay_detected`).
   * A behind one gives nothing; if it is lost, the next line of the chain says how many were (`lost`).
   */
  append(body: RecordBody, how: Append): Promise<void> | undefined;
  /** Hears of each record once it is on disk. Gives a function that ends it. */
  onRecord(listener: RecordListener): () => void;
  /** Hears of each commit, also of those that failed. Gives a function that ends it. */
  onCommit(listener: CommitListener): () => void;
  stats(): LogStats;
  /** How long the oldest record that is not written yet has waited, milliseconds; 0 where none is. */
  delayMs(): number;
  /**
   * Resolves once every record that was queued before this call is written, or lost: a reader then sees its own decision.
   * After `atMostMs` it resolves all the same: a disk that hangs keeps nobody from reading.
   */
  settled(atMostMs?: number): Promise<void>;
  /** Writes what is queued, and a last checkpoint. The store stays open. */
  close(): Promise<void>;
}

/** The nonce was spent before, by a record that this node's memory does not know of. The record was not written. */
export class NonceSpentError extends Error {
  override readonly name = 'NonceSpentError';
}

interface Entry {
  readonly body: RecordBody;
  readonly record: NewRecord;
  /** Null for a behind-record. */
  readonly done: PromiseWithResolvers<void> | null;
  /** When it was queued, by performance.now(). */
  readonly at: number;
}

/** Bounds one request to the store, and so the wait of what comes after it. */
const BATCH_AT_MOST = 512;

/**
 * The decision log of this node. One batch is on its way at a time; what comes meanwhile makes the next one, so that a busy
 * log shares its commits and an idle one does not wait.
 */
export function openLog(options: LogOptions): DecisionLog {
  const { store, node, key, clock, queueLimit = 10_000 } = options;
  const checkpoints = checkpointer({
    key,
    clock,
    put: (checkpoint) => store.putCheckpoint(checkpoint),
    every: options.checkpointEvery ?? 1000,
    everyMs: options.checkpointMs ?? 10_000,
  });
  const listeners = new Set<RecordListener>();
  const commitListeners = new Set<CommitListener>();
  const queue: Entry[] = [];
  const waiting = { behind: 0, durable: 0 };
  const counts = { written: 0, lost: 0 };
  let lostUntold = 0;
  let pump: Promise<void> | undefined;
  /** The oldest entry of the batch that is on its way. */
  let oldest: Entry | undefined;
  let closed = false;

  function lose(): void {
    counts.lost += 1;
    lostUntold += 1;
  }

  const readers: { readonly until: number; readonly go: () => void }[] = [];
  let accepted = 0;
  let handled = 0;

  function enqueue(entry: Entry): void {
    accepted += 1;
    queue.push(entry);
    waiting[kindOf(entry)] += 1;
    pump ??= drain();
  }

  async function drain(): Promise<void> {
    // What the same turn of the loop appends goes into the same batch: one message to the store's thread, one commit.
    await turn();
    while (queue.length > 0) {
      const entries = queue.splice(0, BATCH_AT_MOST);
      for (const entry of entries) waiting[kindOf(entry)] -= 1;
      [oldest] = entries;
      const began = performance.now();
      await commit(entries);
      oldest = undefined;
      for (const listener of commitListeners)
        listener({ tookMs: performance.now() - began, records: entries.length });
      handled += entries.length;
      while (readers[0] !== undefined && readers[0].until <= handled) readers.shift()?.go();
    }
    pump = undefined;
  }

  async function commit(entries: readonly Entry[]): Promise<void> {
    const lost = lostUntold;
    lostUntold = 0;
    try {
      const { seqs, head } = await store.commitRecords({
        node,
        lost,
        records: entries.map(({ record }) => record),
      });
      if (seqs.every((seq) => seq === null)) lostUntold += lost;
      for (const [index, entry] of entries.entries()) settle(entry, seqs[index] ?? null);
      if (head !== null) checkpoints.grown(head);
    } catch (error) {
      lostUntold += lost;
      for (const { done } of entries) {
        if (done === null) lose();
        else done.reject(error);
      }
    }
  }

  function settle({ body, done }: Entry, seq: number | null): void {
    if (seq === null) {
      done?.reject(new NonceSpentError('The nonce was spent before'));
      return;
    }
    counts.written += 1;
    done?.resolve();
    for (const listener of listeners) tell(listener, body, seq);
  }

  function appendBehind(body: RecordBody, record: NewRecord): undefined {
    if (closed || waiting.behind >= queueLimit) lose();
    else enqueue({ body, record, done: null, at: performance.now() });
  }

  function appendDurable(body: RecordBody, record: NewRecord): Promise<void> {
    if (closed) return Promise.reject(new StoreWriteError('CLOSED', 'The decision log is closed'));
    if (waiting.durable >= queueLimit) {
      return Promise.reject(
        new StoreWriteError('QUEUE_FULL', `${queueLimit} records wait already to be written`),
      );
    }
    const done = Promise.withResolvers<void>();
    // A caller that has hung up hears of no failure; that must not end the process.
    done.promise.catch(() => undefined);
    enqueue({ body, record, done, at: performance.now() });
    return done.promise;
  }

  return {
    append(body, { durable, nonce = null, budget = [], ...texts }) {
      const record = toNewRecord(body, texts, nonce, budget);
      return durable || nonce !== null || budget.length > 0
        ? appendDurable(body, record)
        : appendBehind(body, record);
    },
    onRecord(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onCommit(listener) {
      commitListeners.add(listener);
      return () => commitListeners.delete(listener);
    },
    stats: () => ({
      ...counts,
      queued: queue.length,
      checkpoints: checkpoints.counts.written,
      checkpointsFailed: checkpoints.counts.failed,
    }),
    delayMs() {
      const at = (oldest ?? queue[0])?.at;
      return at === undefined ? 0 : performance.now() - at;
    },
    settled(atMostMs) {
      const until = accepted;
      if (until <= handled) return Promise.resolve();
      return new Promise((go) => {
        readers.push({ until, go });
        if (atMostMs !== undefined) setTimeout(go, atMostMs).unref();
      });
    },
    async close() {
      closed = true;
      await pump;
      await checkpoints.close();
    },
  };
}

function kindOf({ done }: Entry): 'behind' | 'durable' {
  return done === null ? 'behind' : 'durable';
}

/** A listener that fails must not undo what is written. */
function tell(listener: RecordListener, body: RecordBody, seq: number): void {
  try {
    listener(body, seq);
  } catch {
    // Live tails are a convenience: the log itself is the source.
  }
}
