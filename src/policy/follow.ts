import type { Profile } from '../schema/common.ts';
import type { Bundle } from './bundle.ts';

/**
 * Brings bundles into force that another process names, each fetched first. What was named later stays in force, however long
 * an earlier one takes to come, and however often it is tried: a rollback must not be undone by what it took back.
 */
export interface BundleFollower {
  /** For a bundle that is named now. */
  turn(): number;
  /** Resolves too where it was overtaken by a later one of its profile. Rejects as `fetch` and `activate` do. */
  take(sha256: string, turn: number): Promise<void>;
}

/** @param activate must hold the bundle against the digest that was named: what was fetched is whatever came */
export function createBundleFollower(
  fetch: (sha256: string) => Promise<Bundle>,
  activate: (bundle: Bundle, named: string) => Promise<void>,
): BundleFollower {
  const latest = new Map<Profile, number>();
  let turns = 0;
  return {
    turn: () => ++turns,
    async take(sha256, turn) {
      const bundle = await fetch(sha256);
      if ((latest.get(bundle.name) ?? 0) > turn) return;
      latest.set(bundle.name, turn);
      await activate(bundle, sha256);
    },
  };
}
