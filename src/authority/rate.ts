/** A bucket for each name: `burst` at once, then one more each `every_ms`. */
export interface Rate {
  /** Takes one; else how long to wait for it, milliseconds. */
  take(name: string, nowMs: number): number;
}

/** Buckets that are full again are forgotten, so that only those in use take memory. */
const SWEEP_AT = 1024;

export function createRate({ burst, every_ms }: { readonly burst: number; readonly every_ms: number }): Rate {
  /** When the bucket is full again. */
  const full = new Map<string, number>();
  return {
    take(name, nowMs) {
      if (full.size >= SWEEP_AT) for (const [known, at] of full) if (at <= nowMs) full.delete(known);
      const at = Math.max(full.get(name) ?? 0, nowMs) + every_ms;
      const wait = at - nowMs - burst * every_ms;
      if (wait > 0) return wait;
      full.set(name, at);
      return 0;
    },
  };
}
