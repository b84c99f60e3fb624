import { parentPort, workerData } from 'node:worker_threads';
import { randomOf } from '../support/random.ts';
import { readCorpus } from './corpus.ts';
import { startCoverage } from './coverage.ts';
import { mutated } from './mutate.ts';
import { TARGETS } from './targets.ts';

/** What a worker is told. `now` holds the number of the input under way, its length, then its bytes. */
export interface Task {
  readonly target: string;
  readonly seconds: number;
  readonly seed: number;
  readonly now: SharedArrayBuffer;
}

export const HEAD = 8;

export interface Report {
  readonly runs: number;
  /** All that ran something new, in the order found, those of the corpus among them. */
  readonly kept: readonly Uint8Array[];
  readonly finding: { readonly input: Uint8Array; readonly error: string } | null;
  readonly slowestMs: number;
}

function fuzz({ target: name, seconds, seed, now }: Task): Report {
  const target = TARGETS.find((one) => one.name === name);
  if (target === undefined) throw new Error(`no target ${name}`);
  const random = randomOf(seed);
  const counter = new Int32Array(now, 0, 2);
  const bytes = new Uint8Array(now, HEAD);
  const kept: Uint8Array[] = [];
  const until = Date.now() + seconds * 1000;
  let runs = 0;
  let slowestMs = 0;

  /** The message of what broke, or null. */
  const run = (input: Uint8Array, told = 0): string | null => {
    // Most inputs are refused: their stacks would cost more than all the reading.
    Error.stackTraceLimit = told;
    bytes.set(input.subarray(0, bytes.length));
    Atomics.store(counter, 1, input.length);
    Atomics.add(counter, 0, 1);
    const began = performance.now();
    try {
      target.run(input);
      return null;
    } catch (error) {
      return error instanceof Error ? (error.stack ?? error.message) : String(error);
    } finally {
      runs += 1;
      slowestMs = Math.max(slowestMs, performance.now() - began);
    }
  };
  const first = (error: string) => error.split('\n', 1)[0];
  /** Shorter, while it breaks in the same way. */
  const shortest = (input: Uint8Array, error: string): Uint8Array => {
    let best = input;
    for (let piece = best.length >> 1; piece > 0; piece >>= 1) {
      for (let at = 0; at + piece <= best.length; ) {
        const shorter = Uint8Array.from([...best.subarray(0, at), ...best.subarray(at + piece)]);
        const broke = run(shorter);
        if (broke !== null && first(broke) === first(error)) best = shorter;
        else at += piece;
      }
    }
    return best;
  };
  const report = (broken: { input: Uint8Array; error: string } | null): Report => {
    if (broken === null) return { runs, kept, finding: null, slowestMs };
    const input = shortest(broken.input, broken.error);
    return { runs, kept, finding: { input, error: run(input, 20) ?? broken.error }, slowestMs };
  };

  const coverage = startCoverage();
  for (const input of readCorpus(name)) {
    const error = run(input);
    if (error !== null) return report({ input, error });
    if (coverage.fresh() > 0) kept.push(input);
  }
  /** Those of the batch that ran something new, found by halves: a look at the coverage costs as much as many inputs. */
  const keepNew = (batch: readonly Uint8Array[]): void => {
    if (batch.length === 1) {
      if (coverage.fresh() > 0) kept.push(...batch);
      return;
    }
    const middle = batch.length >> 1;
    for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
      for (const input of half) run(input);
      if (half.length === 1 || coverage.seen()) keepNew(half);
    }
  };
  let size = 32;
  while (Date.now() < until) {
    const began = performance.now();
    const batch = Array.from({ length: size }, () => {
      const base = kept[random(Math.max(1, kept.length))] ?? new Uint8Array();
      return mutated(base, kept, target.words, random, target.maxBytes);
    });
    for (const input of batch) {
      const error = run(input);
      if (error !== null) return report({ input, error });
    }
    const ran = performance.now();
    const seen = coverage.seen();
    const [running, looking] = [ran - began, performance.now() - ran];
    if (looking > running / 4) size = Math.min(2048, 2 * size);
    if (looking < running / 16) size = Math.max(16, size >> 1);
    if (seen) keepNew(batch);
  }
  coverage.close();
  return report(null);
}

parentPort?.postMessage(fuzz(workerData as Task));
