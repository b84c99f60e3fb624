import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';

/**
 * How much V8's old space may grow over what lived in it after the last collection, percent. By itself V8 lets it grow to
 * four or five times that: of 18 MB that are needed, up to 90 are held, and more or less of them at any moment.
 */
const GROWTH = 50;

/** V8's own number of threads that optimise. */
const OPTIMISERS = 4;

/**
 * For a process that serves. It needs the same memory after a million decisions as after some ten thousand. And it has a
 * core for decisions while V8 optimises: all that is hot becomes so within the same second, and on one core four threads
 * left decisions a fifth of it for a third of a second.
 */
export function settleV8(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH}`);
  const others = Math.max(1, Math.min(OPTIMISERS, availableParallelism() - 1));
  setFlagsFromString(`--concurrent-turbofan-max-threads=${others}`);
}
