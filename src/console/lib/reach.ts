import type { Node, Stopped } from './answers.ts';

/**
 * How far a stop has come at a node: it said that it applied it; it said before that it allows nothing any more; its lease has
 * ended, so that it may allow nothing whatever it knows; or none of these yet.
 */
export type Reach = 'applied' | 'left' | 'ended' | 'waiting';

export function reachOf({ epoch, seq, left, leased_for_ms }: Node, stop: Stopped): Reach {
  if (stop.seq !== null && seq !== null && epoch === stop.epoch && seq >= stop.seq) return 'applied';
  if (left) return 'left';
  return leased_for_ms > 0 ? 'waiting' : 'ended';
}

/** How long after the event no node can allow what it stops, milliseconds: by the control plane's clock alone, ours may be wrong. */
export function longestOf({ at, enforced_by: by }: Stopped): number | null {
  return by === undefined ? null : Math.max(0, Date.parse(by) - Date.parse(at));
}
