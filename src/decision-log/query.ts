import type { DecisionRecord } from '../schema/decision.ts';
import type { Within } from '../store/model.ts';
import type { Store } from '../store/store.ts';

/** One decision as the log has it: all its lines, and the one that holds, which is the last. */
export interface FoundDecision {
  readonly lines: readonly string[];
  readonly verdict: DecisionRecord;
}

/** Null where `within` has no such decision. */
export async function findDecision(
  store: Pick<Store, 'recordById'>,
  decisionId: string,
  within: Within,
): Promise<FoundDecision | null> {
  const lines = await store.recordById(decisionId, within);
  const last = lines.at(-1);
  return last === undefined ? null : { lines, verdict: JSON.parse(last) as DecisionRecord };
}
