import type { NotComparable } from '../../schema/impact.ts';
import type { Counted } from './protocol.ts';

/** Ids that are kept of decisions that say nothing. */
const IDS_AT_MOST = 10;
/** Decisions that did not reproduce, which are told one by one. */
const DIFFERING_AT_MOST = 1000;

export function counted(): Counted {
  return {
    records: 0,
    reproduced: 0,
    same: 0,
    not_reproduced: 0,
    differing: [],
    not_comparable: {},
    changes: [],
  };
}

/** @param id absent for one that no id is known of */
export function uncompared(into: Counted, why: NotComparable, ids: readonly string[], count = 1): void {
  const known = into.not_comparable[why] ?? { count: 0, decision_ids: [] };
  into.not_comparable[why] = known;
  known.count += count;
  known.decision_ids.push(...ids.slice(0, IDS_AT_MOST - known.decision_ids.length));
}

/** Counts what a thread found to the rest; its changes are the caller's to keep. */
export function add(into: Counted, part: Counted): void {
  into.records += part.records;
  into.reproduced += part.reproduced;
  into.same += part.same;
  into.not_reproduced += part.not_reproduced;
  into.differing.push(...part.differing.slice(0, DIFFERING_AT_MOST - into.differing.length));
  for (const [why, { count, decision_ids }] of Object.entries(part.not_comparable)) {
    uncompared(into, why as NotComparable, decision_ids, count);
  }
}
