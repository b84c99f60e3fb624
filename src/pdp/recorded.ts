import { printable } from '../decision-log/record.ts';
import { Denial, type ReasonCode } from '../reason.ts';
import type { DecisionRecord } from '../schema/decision.ts';

/** What an evaluation fails with: the same again, whenever. */
export const POLICY_FAILURES: ReadonlySet<string> = new Set<ReasonCode>(['policy_error', 'policy_timeout']);

/** Said where `inputIn` finds nothing. */
export const UNREADABLE = 'the recorded input could not be read back byte for byte';

/** The input document of a stored line, as it was evaluated, and where it ends in the line. */
export interface InputText {
  readonly json: string;
  readonly end: number;
}

const MEMBER = '"input":';
const NEXT = ',"result":';

/**
 * Finds the input that a parser read in the line's own text; null where it cannot be read back. The line must hold the very
 * bytes that are evaluated and compared: nothing is taken on trust from a parser.
 */
export function inputIn(line: string, input: object): InputText | null {
  const json = printable(JSON.stringify(input));
  for (let at = line.indexOf(MEMBER); at !== -1; at = line.indexOf(MEMBER, at + 1)) {
    const end = at + MEMBER.length + json.length;
    if (line.startsWith(json, at + MEMBER.length) && line.startsWith(NEXT, end)) return { json, end };
  }
  return null;
}

/** How the recorded evaluation failed; null where it did not, or where none was made. */
export function failureIn({ result, failed }: Pick<DecisionRecord, 'result' | 'failed'>): string | null {
  return result === null && failed !== null && POLICY_FAILURES.has(failed.check) ? failed.check : null;
}

/** Whether an evaluation came to what the line says, byte for byte. A policy that failed then must fail in the same way. */
export function reproduces(
  line: string,
  { end }: InputText,
  failure: string | null,
  came: { readonly resultJson: string } | Denial,
): boolean {
  if (came instanceof Denial) return came.code === failure;
  return line.startsWith(`${NEXT}${printable(came.resultJson)},"took_us":`, end);
}
