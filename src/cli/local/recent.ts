import type { Live } from '../../app.ts';
import type { RecordBody } from '../../schema/decision.ts';

/** One decision as the control channel tells it: never the input, nor anything secret. `time` in milliseconds. */
export interface RecentDecision {
  /** Counts the decisions of this process, from 1. */
  readonly position: number;
  readonly decision_id: string;
  readonly time: number;
  readonly verdict: string;
  readonly reason: string;
  readonly runtime_id: string | null;
  readonly method: string | null;
  readonly host: string | null;
  readonly path: string | null;
}

export interface Recent {
  /** Those after a position, the oldest first, and how many of them were forgotten already. */
  after(position: number): { readonly decisions: RecentDecision[]; readonly forgotten: number };
  /** How many there were, of which verdict. */
  counts(): { readonly allow: number; readonly deny: number };
}

const KEPT = 1000;

/** Remembers the latest decisions of a firewall, in memory. */
export function rememberDecisions(live: Pick<Live, 'onRecord'>): Recent {
  const kept: RecentDecision[] = [];
  const counts = { allow: 0, deny: 0 };
  let position = 0;
  live.onRecord((body) => {
    position += 1;
    counts[body.verdict] += body.requests ?? 1;
    kept.push(told(body, position));
    if (kept.length > KEPT) kept.shift();
  });
  return {
    after(seen) {
      const decisions = kept.filter((one) => one.position > seen);
      const forgotten = Math.max(0, (kept[0]?.position ?? 1) - 1 - seen);
      return { decisions, forgotten };
    },
    counts: () => ({ ...counts }),
  };
}

function told(
  { decision_id, time, verdict, reason, actor, request }: RecordBody,
  position: number,
): RecentDecision {
  return {
    ...{ position, decision_id, time, verdict, reason },
    runtime_id: actor?.runtime_id ?? null,
    method: request?.method ?? null,
    host: request?.host ?? null,
    path: request?.path ?? null,
  };
}
