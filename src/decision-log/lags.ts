/** How long after an operator's stop a node had it. Milliseconds. */
export interface Lag {
  readonly node: string;
  readonly ms: number;
  /** When it was stopped, milliseconds since 1970. */
  readonly at: number;
}

/** The lags of the last hour against their target; null where there were none. */
export interface LagSummary {
  readonly count: number;
  readonly p50_ms: number | null;
  readonly p99_ms: number | null;
  readonly max_ms: number | null;
  readonly target: LagTarget;
  readonly met: boolean;
  /** The node of the longest one, and when that was; null where there was none. */
  readonly slowest: Lag | null;
}

export interface LagTarget {
  readonly p50_ms: number;
  readonly p99_ms: number;
}

export interface Lags {
  record(lag: Lag): void;
  summary(now: number): LagSummary;
}

const KEPT = 4096;
const HOUR = 3_600_000;

/** Keeps the latest 4,096 lags. `target`: what they should not exceed; default 5 and 50 ms. */
export function createLags(target: LagTarget = { p50_ms: 5, p99_ms: 50 }): Lags {
  const ring: Lag[] = [];
  let next = 0;
  return {
    record(lag) {
      ring[next] = lag;
      next = (next + 1) % KEPT;
    },
    summary(now) {
      const recent = ring.filter(({ at }) => at > now - HOUR).sort((a, b) => a.ms - b.ms);
      const p50 = atPercent(recent, 50);
      const p99 = atPercent(recent, 99);
      return {
        count: recent.length,
        p50_ms: p50,
        p99_ms: p99,
        max_ms: recent.at(-1)?.ms ?? null,
        target,
        met: (p50 ?? 0) <= target.p50_ms && (p99 ?? 0) <= target.p99_ms,
        slowest: recent.at(-1) ?? null,
      };
    },
  };
}

/** The smallest that at least `percent` of them do not exceed. */
function atPercent(sorted: readonly Lag[], percent: number): number | null {
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]?.ms ?? null;
}
