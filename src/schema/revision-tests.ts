/** Rows of a file, from 1, both included. */
export interface Rows {
  readonly from: number;
  readonly to: number;
}

/** A test that did not hold. `file` as its author has it. */
export interface FailedTest {
  readonly name: string;
  readonly file: string;
  readonly row: number;
  readonly outcome: 'fail' | 'error';
  /** What went wrong; empty where there is no more to say. */
  readonly detail: string;
}

/** `file` as the bundle has it. `percent` of the rows that can be evaluated, 0 to 100. */
export interface CoveredFile {
  readonly file: string;
  readonly percent: number;
  readonly not_covered: readonly Rows[];
}

/** What the tests of a bundle's Rego came to. */
export interface RevisionTests {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** The first of them. */
  readonly failures: readonly FailedTest[];
  /** Of the bundle's Rego, its tests left out. */
  readonly coverage: { readonly percent: number; readonly files: readonly CoveredFile[] };
}
