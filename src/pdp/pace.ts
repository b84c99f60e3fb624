/**
 * How many decisions may wait for their records at once. The log commits what has come meanwhile in one go: many at once
 * share the disk's time, too many make each commit long, and wait for two of them. So: as many as keep a commit within
 * `GOAL_MS`, or within twice what a small one takes where the disk itself is slower than that.
 */
export interface Pace {
  /** At most `most`. */
  limit(most: number): number;
  /** A commit has ended. `full`: more would have come if they might have. */
  committed(commit: { readonly tookMs: number; readonly records: number }, full: boolean): void;
}

const GOAL_MS = 5;
const START = 64;
/** Also a disk that hangs is tried by so many. */
const LEAST = 16;
const MOST = 100_000;
/** More carefully up than down, as TCP does. */
const UP = 1.05;
const DOWN = 0.85;
/** Those of a limit at its least: so the limit falls until it is known what the disk alone takes. */
const SMALL = LEAST;
/** Weight of the latest small commit. */
const LATEST = 0.1;

export function createPace(): Pace {
  let limit = START;
  let small = 0;
  return {
    limit: (most) => Math.min(most, Math.floor(limit)),
    committed({ tookMs, records }, full) {
      if (records <= SMALL) small += (tookMs - small) * LATEST;
      if (tookMs > Math.max(GOAL_MS, 2 * small)) limit = Math.max(LEAST, limit * DOWN);
      else if (full) limit = Math.min(MOST, limit * UP);
    },
  };
}
