import { Denial } from '../reason.ts';
import type { Lemma } from '../schema/lemma.ts';

/** How far ahead another clock may be, seconds. */
export const CLOCK_SKEW = 30;

/** Step 10: link by link, root first. `now` in whole seconds since 1970. */
export function checkTimes(links: readonly Lemma[], now: number): void {
  for (const [link, { type, id, not_before, issued_at, expires_at }] of links.entries()) {
    const facts = { link, type, id, not_before, issued_at, expires_at, now };
    if (not_before > now + CLOCK_SKEW || issued_at > now + CLOCK_SKEW) {
      throw new Denial('proof_not_yet_valid', `the ${type} begins in the future`, facts);
    }
    if (now >= expires_at)
      throw new Denial('proof_expired', `the ${type} ended ${now - expires_at} s ago`, facts);
  }
}
