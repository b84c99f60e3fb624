import type { Problem } from '../reason.ts';

/** One thing wrong and where. `file` is as shown to a person, or the variable or flag; lines and columns from 1. */
export interface ConfigProblem extends Problem {
  readonly file: string | null;
  readonly line: number | null;
  readonly column: number | null;
}

/** A configuration that cannot be used: every problem, sorted as a person reads the files. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];
  /** Files that were read, or would have been: a change to one may mend it. */
  readonly files: readonly string[];

  constructor(problems: readonly ConfigProblem[], files: readonly string[]) {
    const sorted = sort(problems);
    super(sorted.map(formatProblem).join('\n'));
    this.problems = sorted;
    this.files = files;
  }
}

/** `lemma.yaml:12: routes[0].rsik: unknown key; did you mean "risk"?` */
function formatProblem(problem: ConfigProblem): string {
  const place = problem.line === null ? problem.file : `${problem.file}:${problem.line}`;
  return [place, problem.field, problem.message].filter((part) => part !== null && part !== '').join(': ');
}

function sort(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const files = [...new Set(problems.map((p) => p.file))];
  return problems.toSorted(
    (a, b) =>
      files.indexOf(a.file) - files.indexOf(b.file) ||
      (a.line ?? 0) - (b.line ?? 0) ||
      (a.column ?? 0) - (b.column ?? 0),
  );
}
