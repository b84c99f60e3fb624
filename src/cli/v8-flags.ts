import { setFlagsFromString } from 'node:v8';

/**
 * How much V8's old space may grow over what lived in it after the last collection, percent. By itself V8 lets it grow to
 * four or five times that: of 18 MB that are needed, up to 90 are held, and more or less of them at any moment. Less than
 * this collects so often that one request in a hundred waits for it.
 */
const GROWTH = 100;

/**
 * V8 marks with four threads beside the loop. Where they share its core, it has a sixth of that for a tenth of a second at
 * each collection; this heap is small enough for one.
 */
const MARKING_THREADS = 1;

/**
 * Calls after which a function is optimised. A decision calls most of its functions once, and after the same number of
 * them V8 compiles all of them at once: some hundred, for a third of a second, of which a request of then waits most. By
 * itself it does so after some 17,000 decisions, in the midst of the day; so, in the first seconds.
 */
const CALLS_BEFORE_OPTIMISING = 500;

/** Before a process that serves begins: the same memory after a million decisions as after some ten thousand. */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH}`);
  setFlagsFromString(`--concurrent-marking-max-worker-num=${MARKING_THREADS}`);
}

/** Once it serves: what runs a few hundred times while it starts is not worth it. */
export function optimiseEarly(): void {
  setFlagsFromString(`--invocation-count-for-turbofan=${CALLS_BEFORE_OPTIMISING}`);
}
