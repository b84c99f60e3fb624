import { adviceOn } from './advice.ts';
import type {
  Answer,
  Built,
  ClauseTold,
  Coverage,
  Evaluated,
  Explained,
  FileCoverage,
  Formatted,
  Parsed,
  PolicyProblem,
  QueryResult,
  Range,
  RuleCoverage,
  Tested,
  TestOutcome,
} from './answers.ts';
import type { RawAnswer, RawProblem } from './protocol.ts';

/** A raw answer with advice to each error, by place (OPA's own order is not always the same), and its result as `read` gives it. */
export function answerOf<T>(raw: RawAnswer, read: (result: unknown) => T): Answer<T> {
  if (!raw.ok) return { ok: false, errors: raw.errors.map(problemOf).sort(byPlace) };
  return { ok: true, errors: [], result: read(raw.result) };
}

/** What two checks of the same files said, each problem once. */
export function distinct(problems: readonly RawProblem[]): RawProblem[] {
  const byPlace = new Map<string, RawProblem>();
  for (const problem of problems) {
    const { file, row, col, message } = problem;
    const key = `${file}:${row}:${col}:${message}`;
    if (!byPlace.has(key)) byPlace.set(key, problem);
  }
  return [...byPlace.values()];
}

function problemOf(raw: RawProblem): PolicyProblem {
  return { ...raw, hint: adviceOn(raw.message) };
}

function byPlace(a: PolicyProblem, b: PolicyProblem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.row - b.row || a.col - b.col || (a.message < b.message ? -1 : 1);
}

export function formattedOf(result: unknown): Formatted {
  const { files, changed } = result as { files: Record<string, string>; changed: string[] };
  return { files: new Map(Object.entries(files)), changed };
}

export function builtOf(result: unknown): Built {
  const { bundle } = result as { bundle: string };
  return { archive: new Uint8Array(Buffer.from(bundle, 'base64')) };
}

type RawTest = Omit<TestOutcome, 'error' | 'durationMs'> & {
  readonly error?: RawProblem;
  readonly duration_ns: number;
};

interface RawCoverage {
  readonly coverage: number;
  readonly files: {
    readonly [path: string]: {
      readonly coverage?: number;
      readonly covered?: readonly Range[];
      readonly not_covered?: readonly Range[];
    };
  };
  readonly rules: readonly RuleCoverage[] | null;
}

export function testedOf(result: unknown): Tested {
  const { tests, coverage } = result as { tests: RawTest[]; coverage?: RawCoverage };
  return { tests: tests.map(testOf), coverage: coverage === undefined ? null : coverageOf(coverage) };
}

function testOf({ duration_ns: duration, error, ...test }: RawTest): TestOutcome {
  return { ...test, error: error === undefined ? null : problemOf(error), durationMs: duration / 1e6 };
}

function coverageOf({ coverage, files, rules }: RawCoverage): Coverage {
  const byFile = Object.entries(files).map(([path, file]): [string, FileCoverage] => [
    path,
    { percent: file.coverage ?? 0, covered: file.covered ?? [], notCovered: file.not_covered ?? [] },
  ]);
  return { percent: coverage, files: new Map(byFile), rules };
}

export function evaluatedOf(result: unknown): Evaluated {
  const raw = result as { results: QueryResult[]; output: string; trace: string[]; trace_cut?: boolean };
  const { results, output, trace, trace_cut: traceCut = false } = raw;
  return { results, output, trace, traceCut, value: raw.results[0]?.expressions[0]?.value };
}

export function explainedOf(result: unknown): Explained {
  const { results, rules, cut } = result as { results: QueryResult[]; rules: ClauseTold[]; cut: boolean };
  return { rules, cut, value: results[0]?.expressions[0]?.value };
}

export function parsedOf(result: unknown): Parsed | null {
  return (result ?? null) as Parsed | null;
}
