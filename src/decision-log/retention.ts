import type { Checkpoint } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import {
  type CheckpointKeys,
  checkpointBytes,
  type LogKey,
  signatureHolds,
  signPruning,
} from './checkpoint.ts';

export interface RetentionOptions {
  readonly store: Pick<Store, 'logEnd' | 'prunable' | 'putPruning' | 'removePruned' | 'size'>;
  /** Signs the statement of what was pruned. */
  readonly key: () => LogKey;
  /** Keys whose checkpoints may be a cut. */
  readonly trusted: () => CheckpointKeys;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Records younger than this, in milliseconds, stay. */
  readonly keepMs: () => number;
  /** What happens where the database is nearly full of younger ones: `prune` takes the oldest of them. */
  readonly whenFull: () => 'deny' | 'prune';
  readonly onPruned: (cut: Cut) => void;
  /** The database is nearly full, and nothing more will go. Told once each time that it comes to it. */
  readonly onFull: (used: number, limit: number) => void;
  readonly onError: (error: unknown, doing: string) => void;
  /** Idle time after each step, as a multiple of the time that it took (4). */
  readonly rest?: number;
}

/** Records of a node up to `seq` are gone. `why`: they were old enough, or the database was nearly full. */
export interface Cut {
  readonly node: string;
  readonly seq: number;
  readonly why: 'age' | 'size';
}

export interface Retention {
  /** Prunes what may go now. Called while one is under way, it resolves with that one. Never rejects. */
  run(): Promise<void>;
  /**
   * Takes nothing while somebody reads the log from its beginning, who would find a gap. Resolves once nothing is under way
   * any more, with what ends it; several may hold it. Where the database is all but full of what may go, `lost` is called, and
   * it goes.
   */
  hold(lost?: () => void): Promise<() => void>;
  /** Stops after the step that is under way; what is left goes at the next start. */
  close(): Promise<void>;
}

/** Rows of one step: a few milliseconds of the thread that writes. */
const STEP = 128;
/** Of the limit: from the first on, the oldest spans go, until no more than the second is used. */
const NEARLY_FULL = 0.9;
const ROOM_AGAIN = 0.85;
/** From here on no reader holds it back. */
const PRESSED = 0.97;

/** What is found where a cut would be is not what was signed: nothing may go, it is evidence. */
class CutError extends Error {
  override readonly name = 'CutError';
}

/**
 * Takes whole spans off the beginning of each chain, up to a signed checkpoint: first a signed statement of the cut is
 * made durable, then the records go, a few at a time, with pauses in which the log writes on.
 */
export function createRetention(options: RetentionOptions): Retention {
  const { store, key, trusted, clock, keepMs, whenFull, onPruned, onFull, onError, rest = 4 } = options;
  let running: Promise<void> | undefined;
  let closed = false;
  /** Each with what tells it that it holds nothing any more. */
  const holders = new Set<() => void>();
  let wasFull = false;
  /** Resolved when a pause is to end early. */
  let hurry = Promise.withResolvers<void>();

  const halted = () => closed || holders.size > 0;

  /** A reader that takes its time, or nothing at all, must not stop the decisions for want of room. */
  async function passOver(): Promise<void> {
    const { used, limit } = await store.size();
    if (limit === null || used < limit * PRESSED || !(await hasToGo())) return;
    for (const lost of holders) lost();
    holders.clear();
    if (!closed) await pass();
  }

  async function pass(): Promise<void> {
    const { chains } = await store.logEnd();
    const nodes = chains.map(({ node }) => node);
    for (const node of nodes) await sweep(node);
    for (const node of nodes) {
      while (!halted() && (await pruneNext(node, clock() - keepMs(), 'age'))) await sweep(node);
    }
    await pruneBySize(nodes);
  }

  async function hasToGo(): Promise<boolean> {
    const before = whenFull() === 'prune' ? null : clock() - keepMs();
    const { chains } = await store.logEnd();
    for (const { node } of chains) if ((await store.prunable(node, before)) !== null) return true;
    return false;
  }

  async function pruneBySize(nodes: readonly string[]): Promise<void> {
    const { used, limit } = await store.size();
    if (limit === null || used < limit * NEARLY_FULL) {
      wasFull = false;
      return;
    }
    const room = async () => (await store.size()).used < limit * ROOM_AGAIN;
    if (whenFull() === 'prune') {
      while (!halted() && !(await room())) {
        const node = await oldest(nodes);
        if (node === null) break;
        await pruneNext(node, null, 'size');
        await sweep(node);
      }
    }
    if (halted() || (await store.size()).used < limit * NEARLY_FULL || wasFull) return;
    wasFull = true;
    onFull(used, limit);
  }

  /** The node whose next span ended first; null where none has one. */
  async function oldest(nodes: readonly string[]): Promise<string | null> {
    let found: Checkpoint | null = null;
    for (const node of nodes) {
      const next = await store.prunable(node, null);
      if (next !== null && (found === null || next.checkpoint.time < found.time)) found = next.checkpoint;
    }
    return found?.node ?? null;
  }

  /** Cuts one span off, where there is one to cut. Rejects with CutError where it is not what was signed. */
  async function pruneNext(node: string, before: number | null, why: Cut['why']): Promise<boolean> {
    const next = await store.prunable(node, before);
    if (next === null) return false;
    const { checkpoint, hash } = next;
    checkCut(checkpoint, hash, trusted());
    await store.putPruning(await signPruning(checkpoint, clock(), key()));
    onPruned({ node, seq: checkpoint.seq, why });
    return true;
  }

  async function sweep(node: string): Promise<void> {
    while (!halted()) {
      const start = performance.now();
      if ((await store.removePruned(node, STEP)) === 0) return;
      await pause((performance.now() - start) * rest);
    }
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      void hurry.promise.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  return {
    run,
    async hold(lost = () => undefined) {
      const holder = () => lost();
      holders.add(holder);
      hurry.resolve();
      await running;
      return () => release(holder);
    },
    async close() {
      closed = true;
      hurry.resolve();
      await running;
    },
  };

  function run(): Promise<void> {
    if (closed) return running ?? Promise.resolve();
    running ??= (halted() ? passOver() : pass())
      .catch((error: unknown) => onError(error, 'pruning the decision log'))
      .finally(() => {
        running = undefined;
      });
    return running;
  }

  function release(holder: () => void): void {
    if (!holders.delete(holder) || holders.size > 0) return;
    hurry = Promise.withResolvers<void>();
    void run();
  }
}

function checkCut(checkpoint: Checkpoint, hash: string | null, keys: CheckpointKeys): void {
  const { node, seq, keyid } = checkpoint;
  const key = keys.get(keyid);
  if (key === undefined || !signatureHolds(checkpoint, checkpointBytes(checkpoint), key)) {
    throw new CutError(
      `the checkpoint of ${node} at record ${seq} is not signed by a key of this deployment: nothing is pruned; see lemma decisions verify`,
    );
  }
  if (hash === checkpoint.hash) return;
  throw new CutError(
    `record ${seq} of ${node} is not what its checkpoint says: nothing is pruned; see lemma decisions verify`,
  );
}
