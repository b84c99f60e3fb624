/** What ran out: a call's processor time, or the patience with a machine that gives it none. */
export type Overrun = 'work' | 'wait';

/**
 * By the clock a call may take so many times its limit. A busy machine is no fault of the policies, and nothing of theirs can
 * wait for anything; so what they may cost is counted in processor time.
 */
const PATIENCE = 10;

/** By the clock, at most. */
export function patienceMs(limitMs: number): number {
  return limitMs * PATIENCE;
}

/** Not more often is a call looked at that has nearly used up its time. */
const SOONEST_MS = 20;

/**
 * When to look at a call again, in milliseconds; or what it has used up.
 *
 * @param limitMs of processor time
 * @param usedMs of processor time so far
 * @param waitedMs by the clock so far
 */
export function nextLook(limitMs: number, usedMs: number, waitedMs: number): number | Overrun {
  if (usedMs >= limitMs) return 'work';
  const left = patienceMs(limitMs) - waitedMs;
  if (left <= 0) return 'wait';
  return Math.min(Math.max(limitMs - usedMs, SOONEST_MS), left);
}
