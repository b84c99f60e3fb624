import { printable } from '../decision-log/record.ts';
import type { Evaluation } from '../policy/evaluate.ts';
import { Denial, type Reason } from '../reason.ts';
import type { Adapter } from '../schema/bundle.ts';
import type { DecisionRecord, Verdict } from '../schema/decision.ts';
import { inputIn, POLICY_FAILURES, UNREADABLE } from './recorded.ts';

export interface Outcome {
  readonly verdict: Verdict;
  readonly reason: Reason;
}

/** What is said to a recorded request now. Null, with the reason in words: it cannot be asked again. */
export type Again =
  | { readonly now: Outcome; readonly why: string | null }
  | { readonly now: null; readonly why: string };

/** A policy that may take another's place. */
export interface CandidatePolicy {
  readonly adapter?: Adapter | undefined;
  decide(input: Uint8Array): Evaluation | Promise<Evaluation>;
}

/**
 * What a candidate says to the input of a recorded decision, which is all that it would have seen. What a check decided stays
 * so: no policy overrides it, and none was asked. Rejects with Denial `policy_unavailable`, `overloaded`.
 *
 * @param candidate null: it is of another profile, and changes nothing here
 * @param line the record as it is stored: its input is evaluated only where it can be read back byte for byte
 */
export async function replayWith(
  candidate: CandidatePolicy | null,
  record: DecisionRecord,
  line: string,
): Promise<Again> {
  const { input, failed } = record;
  if (failed !== null && !POLICY_FAILURES.has(failed.check))
    return { now: outcomeOf(record), why: `${failed.check}: a check decided, not the policy` };
  if (input === null) return { now: null, why: 'the record holds no input' };
  if (candidate === null) return { now: outcomeOf(record), why: 'the candidate is of another profile' };
  const text = inputIn(line, input);
  if (text === null) return { now: null, why: UNREADABLE };
  return judged(candidate, input, text.json);
}

/** A policy that fails denies; a host that cannot ask it says nothing of it. */
export async function judged(
  candidate: CandidatePolicy,
  input: object,
  inputJson = printable(JSON.stringify(input)),
): Promise<Again> {
  if (candidate.adapter === 'opa-envoy' && !('attributes' in input))
    return { now: null, why: "recorded for a policy without adapter: it lacks opa-envoy-plugin's input" };
  try {
    const { result } = await candidate.decide(new TextEncoder().encode(inputJson));
    const reason = result.reason as Reason;
    return { now: { verdict: result.allow ? 'allow' : 'deny', reason }, why: null };
  } catch (error) {
    if (!(error instanceof Denial) || !POLICY_FAILURES.has(error.code)) throw error;
    return { now: { verdict: 'deny', reason: error.code }, why: error.message };
  }
}

export function outcomeOf({ verdict, reason }: Outcome): Outcome {
  return { verdict, reason };
}

export type Change = 'newly_allowed' | 'newly_denied' | 'other_reason';

/** What is different now; null: nothing, or one of the two is not known. */
export function changeOf(was: Outcome | null, now: Outcome | null): Change | null {
  if (was === null || now === null) return null;
  if (was.verdict !== now.verdict) return now.verdict === 'allow' ? 'newly_allowed' : 'newly_denied';
  return was.reason === now.reason ? null : 'other_reason';
}
