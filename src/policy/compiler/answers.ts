import type { AnswerBounds, Capabilities, TraceMode } from './protocol.ts';

/** Text by path: relative, with `/`, without `.` and `..`. */
export type Files = ReadonlyMap<string, string>;

/** One thing that OPA objects to. `row` and `col` count from 1; 0 where there is no place. */
export interface PolicyProblem {
  /** OPA's code (`rego_type_error`, …), or of ours: `time_limit`, `compiler_failed`, `compiler_unavailable`. */
  readonly code: string;
  readonly message: string;
  readonly file: string;
  readonly row: number;
  readonly col: number;
  /** OPA's further lines: what stands there, and what could stand there. */
  readonly details: readonly string[];
  /** What to do about it; null where there is no more to say. */
  readonly hint: string | null;
}

export type Answer<T> =
  | { readonly ok: true; readonly errors: readonly []; readonly result: T }
  | { readonly ok: false; readonly errors: readonly PolicyProblem[] };

export interface Sources {
  readonly files: Files;
  /** As on OPA's command line; data is placed relative to them. Absent: every top-level file and folder. */
  readonly paths?: readonly string[];
  /** Milliseconds of processor time for this call, when the compiler's own limit will not do. */
  readonly timeLimitMs?: number;
}

export interface Limits {
  /** Absent: what the engine runs (policies/capabilities.json) for check and build, and all of OPA's otherwise. Null: all. */
  readonly capabilities?: Capabilities | null;
  /** A JSON Schema that types `input`. */
  readonly schema?: object;
  /** Unused variables and imports, shadowing and the like are errors. Absent: true for check, false otherwise. */
  readonly strict?: boolean;
}

export interface CheckRequest extends Sources, Limits {}
export type FormatRequest = Sources;

export interface ReviewRequest
  extends Omit<Sources, 'paths'>,
    Required<Pick<Limits, 'schema'>>,
    Pick<Limits, 'capabilities'> {
  /** Those of the files that may call all of OPA, and are not typed by the schema. */
  readonly tests: readonly string[];
}

export interface BuildRequest extends Sources, Pick<Limits, 'capabilities'> {
  /** Slash separated, e.g. `lemma/low/decision`. */
  readonly entrypoints: readonly string[];
  readonly revision?: string;
}

export interface TestRequest extends Sources, Limits {
  readonly coverage?: boolean;
  /** A regular expression on full names (`data.lemma.low_test.test_x`). */
  readonly run?: string;
}

export interface EvalRequest extends Sources, Limits {
  /** E.g. `data.lemma.low.decision`. */
  readonly query: string;
  /** JSON text; absent: `input` is undefined. */
  readonly input?: string;
  readonly trace?: TraceMode;
  /** Beyond them the trace is cut (`traceCut`), and the rest is an error `answer_too_large`. Absent: none. */
  readonly bounds?: AnswerBounds;
  /** The first error of a built-in ends the evaluation, instead of being undefined. */
  readonly strictBuiltinErrors?: boolean;
}

export interface Formatted {
  readonly files: Files;
  /** Paths of those that were written differently. */
  readonly changed: readonly string[];
}

export interface Built {
  /** `tar.gz`, byte for byte that of `opa build -t wasm`. */
  readonly archive: Uint8Array;
}

export interface Tested {
  readonly tests: readonly TestOutcome[];
  /** Null when it was not asked for. */
  readonly coverage: Coverage | null;
}

export interface TestOutcome {
  readonly file: string;
  readonly row: number;
  /** E.g. `data.lemma.low_test`. */
  readonly package: string;
  readonly name: string;
  readonly outcome: 'pass' | 'fail' | 'error' | 'skip';
  readonly error: PolicyProblem | null;
  readonly durationMs: number;
  /** What `print` wrote. */
  readonly output: string;
  /** Of a failed test: the rules and expressions that failed, each with its place. Native `opa` gives none. */
  readonly trace: readonly string[];
  /** Of a test that has several (`test_x[name]`). */
  readonly cases: readonly { readonly name: readonly string[]; readonly pass: boolean }[];
}

export interface Coverage {
  /** Percent of the lines of all files. */
  readonly percent: number;
  readonly files: ReadonlyMap<string, FileCoverage>;
  /** Null from native `opa`. */
  readonly rules: readonly RuleCoverage[] | null;
}

export interface FileCoverage {
  readonly percent: number;
  readonly covered: readonly Range[];
  readonly notCovered: readonly Range[];
}

export interface Range {
  readonly start: { readonly row: number; readonly col?: number };
  readonly end: { readonly row: number; readonly col?: number };
}

export interface RuleCoverage {
  readonly file: string;
  readonly row: number;
  readonly package: string;
  readonly name: string;
  readonly default: boolean;
  readonly covered: boolean;
}

export interface Evaluated {
  /** OPA's result set; empty when the query is undefined. */
  readonly results: readonly QueryResult[];
  /** Value of the first expression of the first result; undefined when there is none. */
  readonly value: unknown;
  /** What `print` wrote. */
  readonly output: string;
  /** As `opa eval --explain` prints it; empty when it was not asked for. */
  readonly trace: readonly string[];
  /** Lines of the trace were left out. */
  readonly traceCut: boolean;
}

export interface ExplainRequest extends Sources, Limits, Pick<EvalRequest, 'input' | 'bounds'> {
  /** A reference, e.g. `data.lemma.low.decision`. */
  readonly query: string;
}

export interface Explained extends Pick<Evaluated, 'value'> {
  /** In the order in which each was first looked at. */
  readonly rules: readonly ClauseTold[];
  /** There were more rules. */
  readonly cut: boolean;
}

/** One clause that an answer was looked for in: each `else` is one, and so is each of several rules of one name. */
export interface ClauseTold {
  readonly path: string;
  readonly file: string;
  readonly line_from: number;
  readonly line_to: number;
  readonly source: string;
  readonly default: boolean;
  /** How often it was evaluated, and how often it held. */
  readonly evaluated: number;
  readonly held: number;
  /** The first of its values, as OPA writes it; null where it never held. */
  readonly gives: string | null;
  /** What failed furthest on; the head where it held. */
  readonly at: PlaceTold;
  /** All others of its expressions held, one at least. */
  readonly only_last: boolean;
  /** The answer, had what failed held; absent where that cannot be said. */
  readonly would?: unknown;
  /** For which `at` is taken to hold, or the rest of the rule as well: that where `at` alone changes nothing. */
  readonly given?: 'at' | 'rest';
  /** Null: undefined. */
  readonly values: readonly (PlaceTold & { readonly value: string | null })[];
}

/** Line and column from 1, in characters. */
export interface PlaceTold {
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

export interface QueryResult {
  readonly expressions: readonly { readonly value: unknown; readonly text: string }[];
  readonly bindings?: { readonly [name: string]: unknown };
}

/** What a lint needs to know, with imports and names of the own package resolved to `data.…`. */
export interface Parsed {
  readonly packages: readonly { readonly file: string; readonly package: string }[];
  readonly rules: readonly RuleFacts[];
}

export interface RuleFacts {
  readonly file: string;
  readonly row: number;
  readonly package: string;
  readonly name: string;
  readonly default: boolean;
  /** The constant of `name contains "…"`; null for any other rule. */
  readonly head_key: string | null;
  /** Of a rule that is a constant, default or not; absent where it must be evaluated. */
  readonly value?: unknown;
  /** References to `data` and `input`, up to their first variable. Sorted, each once. */
  readonly refs: readonly string[];
  /** Constants that are no part of a reference. Sorted, each once. */
  readonly strings: readonly string[];
}
