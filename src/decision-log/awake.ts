import { MINUTE, MINUTES_KEPT } from './minutes.ts';

/**
 * The minutes in which anything was decided, one after the other: those of a night without a request do not count, so that
 * the evening before is what a morning is held against. As times of that clock, in milliseconds, for `Minutes`.
 */
export interface Awake {
  /** The time of the minute of `at`, which is awake from now on. */
  wake(at: number): number;
  /** The time of the first minute that was awake at `at` or later; null: none was. */
  from(at: number): number | null;
  /** So many minutes that were awake before a time of this clock are remembered. */
  before(time: number): number;
}

/** Room for those that come to be known later though they were earlier: what is read from the store at the start. */
const FIRST = MINUTES_KEPT;

export function createAwake(): Awake {
  /** Minutes since 1970, ascending; the first of them is the one of that number. */
  const minutes: number[] = [];
  let first = FIRST;

  /** Where the minute is, or the next after it. */
  function indexOf(minute: number): number {
    let at = minutes.length;
    while (at > 0 && (minutes[at - 1] ?? 0) >= minute) at -= 1;
    return at;
  }

  return {
    wake(at) {
      const minute = Math.floor(at / MINUTE);
      const index = indexOf(minute);
      if (index === minutes.length) {
        minutes.push(minute);
        if (minutes.length > MINUTES_KEPT) {
          minutes.shift();
          first += 1;
          return (first + index - 1) * MINUTE;
        }
      } else if (index === 0 && minutes[0] !== minute && minutes.length < MINUTES_KEPT && first > 0) {
        minutes.unshift(minute);
        first -= 1;
      }
      return (first + index) * MINUTE;
    },
    from(at) {
      const index = indexOf(Math.floor(at / MINUTE));
      return index === minutes.length ? null : (first + index) * MINUTE;
    },
    before: (time) => Math.max(0, Math.min(minutes.length, time / MINUTE - first)),
  };
}
