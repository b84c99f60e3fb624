/** Counts by minute of the last 66 minutes, in 264 bytes. Times are milliseconds. */
export interface Minutes {
  add(at: number, count: number): void;
  /** From the minute of `from` to that of `to`, both included. */
  sum(from: number, to: number): number;
  /** The latest minute that anything was counted in, as minutes since 1970. */
  readonly last: number;
}

export const MINUTES_KEPT = 66;
export const MINUTE = 60_000;

export function minutes(): Minutes {
  const counts = new Uint32Array(MINUTES_KEPT);
  let last = Number.NEGATIVE_INFINITY;

  function advance(to: number): void {
    if (to - last >= MINUTES_KEPT) counts.fill(0);
    else for (let minute = last + 1; minute <= to; minute++) counts[minute % MINUTES_KEPT] = 0;
    last = to;
  }

  return {
    add(at, count) {
      const minute = Math.floor(at / MINUTE);
      if (minute > last) advance(minute);
      if (minute <= last - MINUTES_KEPT) return;
      const slot = minute % MINUTES_KEPT;
      counts[slot] = (counts[slot] ?? 0) + count;
    },
    sum(from, to) {
      const first = Math.max(Math.floor(from / MINUTE), last - MINUTES_KEPT + 1);
      const end = Math.min(Math.floor(to / MINUTE), last);
      let total = 0;
      for (let minute = first; minute <= end; minute++) total += counts[minute % MINUTES_KEPT] ?? 0;
      return total;
    },
    get last() {
      return last;
    },
  };
}
