import type { ChainHead, Checkpoint } from '../store/model.ts';
import { type LogKey, signCheckpoint } from './checkpoint.ts';

export interface CheckpointerOptions {
  readonly key: () => LogKey;
  readonly clock: () => number;
  readonly put: (checkpoint: Checkpoint) => Promise<void>;
  /** Records after which one is due, and milliseconds after the first record that has none yet. */
  readonly every: number;
  readonly everyMs: number;
}

export interface Checkpointer {
  /** The chain has grown to this head. */
  grown(head: ChainHead): void;
  /** Signs the head that has no checkpoint yet, if there is one, and stops the timer. */
  close(): Promise<void>;
  readonly counts: { readonly written: number; readonly failed: number };
}

/** Decides when a checkpoint is due. One that fails is tried again later, for the head of then. */
export function checkpointer({ key, clock, put, every, everyMs }: CheckpointerOptions): Checkpointer {
  const counts = { written: 0, failed: 0 };
  let head: ChainHead | null = null;
  let triedSeq: number | null = null;
  let vouchedSeq: number | null = null;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let running = Promise.resolve();

  function arm(): void {
    if (!closed) timer ??= setTimeout(due, everyMs).unref();
  }

  function due(): void {
    clearTimeout(timer);
    timer = undefined;
    if (head === null || head.seq === vouchedSeq) return;
    const target = head;
    triedSeq = target.seq;
    running = running.then(() => write(target));
  }

  async function write(target: ChainHead): Promise<void> {
    try {
      const { keyid, sign } = key();
      await put(await signCheckpoint(target, clock(), keyid, sign));
      vouchedSeq = target.seq;
      counts.written += 1;
    } catch {
      // The chain goes on without it: the next checkpoint covers these records too.
      counts.failed += 1;
      arm();
    }
  }

  return {
    grown(newHead) {
      head = newHead;
      triedSeq ??= newHead.seq - 1;
      if (newHead.seq - triedSeq >= every) due();
      else arm();
    },
    async close() {
      closed = true;
      await running;
      due();
      await running;
    },
    counts,
  };
}
