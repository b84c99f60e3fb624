import type { PolicyProblem } from '../compiler/answers.ts';

interface Place {
  readonly file: string;
  readonly row: number;
  readonly col?: number;
}

/** A finding, in the shape of OPA's own. `hint` is the mend. */
export function found(
  code: string,
  { file, row, col = 1 }: Place,
  message: string,
  hint: string,
): PolicyProblem {
  return { code, message, file, row, col, details: [], hint };
}
