import { performance } from 'node:perf_hooks';
import type { Limits } from '../schema/config.ts';

/** Who waits. */
export interface Caller {
  /** How long, from when it came; null where it named no time. */
  readonly remainingMs: number | null;
  /** True once it has hung up. */
  readonly gone?: () => boolean;
}

/** One of these is called, once. */
export interface Task<T> {
  work(): Promise<T>;
  /** There is no room for it. */
  shed(): T;
}

/** The caller had gone, or its time was over, before its turn came: nothing was done for it. */
export class Abandoned extends Error {
  override readonly name = 'Abandoned';
}

export interface LaneStats {
  readonly running: number;
  readonly queued: number;
  readonly abandoned: number;
}

/**
 * Where decisions wait for their turn, so that what is beside them in this process (kill, health, reads) never waits
 * behind a crowd of them: a turn of the event loop spends at most `SLICE_MS` on decisions, the rest queues.
 */
export interface Lane {
  /** @throws Abandoned */
  run<T>(caller: Caller, task: Task<T>): Promise<T>;
  stats(): LaneStats;
  /** Whether somebody was kept waiting by the limit since this was asked last. */
  wasFull(): boolean;
}

/** Of one turn of the event loop. */
const SLICE_MS = 2;
/** As long as this after one was shed, a queue is overload and no burst. */
const CALM_MS = 1000;
/** Few enough to wait in overload too, however slow the machine is. */
const FEW = 16;
/** Without overload: times queue_ms, for whom named no time; for others a part of theirs, to be denied while they listen. */
const PATIENCE = 500;
const IN_TIME = 0.8;
/** Weight of the latest turn in the mean time between two. */
const LATEST = 1 / 32;

interface Entry {
  readonly at: number;
  readonly caller: Caller;
  start(): void;
  shed(): void;
  abandon(): void;
}

/** @param now milliseconds of a clock that never goes back */
export function createLane(
  limits: () => Pick<Limits, 'concurrency' | 'queue' | 'queue_ms'>,
  now: () => number = () => performance.now(),
): Lane {
  const waiting: Entry[] = [];
  let running = 0;
  let abandoned = 0;
  let turnBegan = 0;
  let turnOpen = false;
  let looking = false;
  let full = false;
  let lastEmpty = Number.NEGATIVE_INFINITY;
  let lastShed = Number.NEGATIVE_INFINITY;
  let lastStart = 0;
  /** Milliseconds between two turns of those that had to wait, on average. */
  let between = 0;

  function openTurn(at: number): void {
    if (turnOpen) return;
    turnOpen = true;
    turnBegan = at;
    setImmediate(endTurn);
  }

  /** After what came in this turn was read: the next slice is for those who wait. */
  function endTurn(): void {
    turnOpen = false;
    if (waiting.length === 0) return;
    const began = now();
    let at = began;
    let taken = 0;
    for (const entry of waiting) {
      if (at - began >= SLICE_MS || !take(entry, at, waiting.length - taken)) break;
      taken += 1;
      at = now();
    }
    waiting.splice(0, taken);
    if (waiting.length === 0) lastEmpty = at;
    else if (running < limits().concurrency) openTurn(began);
    else lookAgain();
  }

  /** False: it can neither begin yet, nor has it waited too long. */
  function take(entry: Entry, at: number, count: number): boolean {
    const { caller } = entry;
    const over = caller.remainingMs !== null && at - entry.at >= caller.remainingMs;
    if (over || caller.gone?.() === true) {
      abandoned += 1;
      entry.abandon();
    } else if (at - entry.at > patience(caller, at, count)) {
      lastShed = at;
      entry.shed();
    } else if (!hasRoom()) return false;
    else {
      between += (at - Math.max(lastStart, lastEmpty) - between) * LATEST;
      lastStart = at;
      entry.start();
    }
    return true;
  }

  /** Where nothing ends that could make room, those who wait are told in time all the same. */
  function lookAgain(): void {
    if (looking) return;
    looking = true;
    setTimeout(() => {
      looking = false;
      openTurn(now());
    }, limits().queue_ms).unref();
  }

  function hasRoom(): boolean {
    if (running < limits().concurrency) return true;
    full = true;
    return false;
  }

  function patience({ remainingMs }: Caller, at: number, count: number): number {
    const { queue_ms } = limits();
    const whole = remainingMs === null ? PATIENCE * queue_ms : IN_TIME * remainingMs;
    return count > FEW && at - lastShed < CALM_MS ? Math.min(queue_ms, whole) : whole;
  }

  /** In overload, whoever comes after too many would only wait to be shed. */
  function isFull(head: Entry | undefined, at: number): boolean {
    const count = waiting.length + 1;
    const { queue, queue_ms } = limits();
    if (count > queue || (head !== undefined && at - head.at > patience(head.caller, at, count))) return true;
    return count > FEW && count * between > queue_ms && at - lastShed < CALM_MS;
  }

  async function begin<T>({ work }: Task<T>): Promise<T> {
    running += 1;
    try {
      return await work();
    } finally {
      running -= 1;
      if (waiting.length > 0) openTurn(now());
    }
  }

  return {
    run(caller, task) {
      const at = now();
      openTurn(at);
      const [head] = waiting;
      if (head === undefined) {
        lastEmpty = at;
        if (hasRoom() && at - turnBegan < SLICE_MS) return begin(task);
      }
      if (isFull(head, at)) {
        lastShed = at;
        return Promise.resolve(task.shed());
      }
      return new Promise((resolve, reject) => {
        waiting.push({
          at,
          caller,
          start: () => resolve(begin(task)),
          shed: () => resolve(task.shed()),
          abandon: () => reject(new Abandoned('nobody waited for it any more when its turn came')),
        });
      });
    },
    wasFull() {
      const was = full;
      full = false;
      return was;
    },
    stats: () => ({ running, queued: waiting.length, abandoned }),
  };
}
