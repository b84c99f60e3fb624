/** Between the runner and the threads that tests start. */

/** Of a thread's environment data: the test that started it. */
export const TEST = 'the test that runs';
export const CHANNEL = 'mutants that were met';

export interface Hit {
  readonly test: string;
  readonly mutant: string;
}
