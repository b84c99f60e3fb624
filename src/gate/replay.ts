import { Denial } from '../reason.ts';
import type { SpentNonce } from '../schema/decision.ts';

/** How long a nonce is kept after the PoP's `created`, seconds: longer than any PoP lives. */
export const NONCE_LIFE = 90;
/** How long after a loss of memory PoPs are refused, seconds: a PoP may be made that far ahead. */
const AHEAD = 30;

/** Spent nonces, bounded by time and number. Nothing is forgotten early: a full store denies. */
export interface ReplayGuard {
  /**
   * Spends a nonce; `now` in whole seconds. Throws replay_detected when it was spent before with the same key, and
   * replay_check_unavailable when that can't be known (full, or the memory of that time is gone).
   */
  spend(nonce: SpentNonce, now: number): void;
  /** Puts back what the store remembers, at start. */
  restore(nonce: SpentNonce): void;
  readonly size: number;
}

/** `memoryLostAt`: seconds; PoPs created up to 30 s after it can't be checked. Null when nothing was lost. */
export function createReplayGuard(options: { limit: number; memoryLostAt: number | null }): ReplayGuard {
  const spent = new Set<string>();
  const byCreated = new Map<number, string[]>();
  let forgottenBefore = options.memoryLostAt === null ? 0 : options.memoryLostAt + AHEAD + 1;
  let prunedAt = 0;

  const remember = ({ keyid, nonce, created }: SpentNonce) => {
    const key = `${keyid} ${nonce}`;
    if (spent.has(key)) return false;
    spent.add(key);
    const bucket = byCreated.get(created);
    if (bucket === undefined) byCreated.set(created, [key]);
    else bucket.push(key);
    return true;
  };

  const prune = (now: number) => {
    if (now <= prunedAt) return;
    prunedAt = now;
    for (const [created, keys] of byCreated) {
      if (created + NONCE_LIFE >= now) continue;
      byCreated.delete(created);
      for (const key of keys) spent.delete(key);
    }
    // A clock set back would bring PoPs of forgotten seconds to life again.
    forgottenBefore = Math.max(forgottenBefore, now - NONCE_LIFE);
  };

  return {
    spend(nonce, now) {
      prune(now);
      if (nonce.created < forgottenBefore) {
        throw new Denial('replay_check_unavailable', 'nonces of that time are no longer known', {
          created: nonce.created,
          known_from: forgottenBefore,
        });
      }
      if (spent.size >= options.limit && !spent.has(`${nonce.keyid} ${nonce.nonce}`)) {
        throw new Denial('replay_check_unavailable', `${spent.size} nonces are kept, the most there may be`);
      }
      if (!remember(nonce)) {
        throw new Denial('replay_detected', 'this nonce was spent with this key', { keyid: nonce.keyid });
      }
    },
    restore: (nonce) => void remember(nonce),
    get size() {
      return spent.size;
    },
  };
}
