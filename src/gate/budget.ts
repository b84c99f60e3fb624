/**
 * A limit that a link of the chain sets: operations counted under its lemma id, within its org and env, since whoever signs a
 * link chooses its id. `expires` in seconds.
 */
export interface BudgetLine {
  readonly org: string;
  readonly env: string;
  readonly lemmaId: string;
  readonly limit: number;
  readonly expires: number;
}

/** Counted operations, this request included. With several budgets, the one with the least left speaks. */
export interface Reservation {
  readonly limit: number;
  readonly used: number;
  readonly lines: readonly BudgetLine[];
  /** Gives the operation back: the request was denied. Once only. */
  release(): void;
}

/** One text for each lemma of each tenant, by which the store knows it too: ids hold no space. */
export function countedBy({ org, env, lemmaId }: Pick<BudgetLine, 'org' | 'env' | 'lemmaId'>): string {
  return `${org} ${env} ${lemmaId}`;
}

/** Operations used per lemma, by `countedBy`. Reservation is synchronous, so parallel requests can't both take the last one. */
export interface Budgets {
  reserve(lines: readonly BudgetLine[], now: number): Reservation | null;
  restore(counted: string, used: number, expires: number): void;
  used(counted: string): number;
}

/** The one with the least left. */
export function tightestOf<T extends Pick<Reservation, 'limit' | 'used'>>(
  counts: readonly T[],
): T | undefined {
  return counts.toSorted((a, b) => a.limit - a.used - (b.limit - b.used))[0];
}

export function createBudgets(): Budgets {
  const used = new Map<string, { count: number; expires: number }>();
  let prunedAt = 0;

  const prune = (now: number) => {
    if (now < prunedAt + 60) return;
    prunedAt = now;
    // 60 s of grace: a clock that is set back a little finds its counts.
    for (const [id, entry] of used) if (entry.expires + 60 < now) used.delete(id);
  };

  const take = (line: BudgetLine): number => {
    const id = countedBy(line);
    const entry = used.get(id);
    if (entry === undefined) {
      used.set(id, { count: 1, expires: line.expires });
      return 1;
    }
    entry.count += 1;
    return entry.count;
  };

  return {
    reserve(lines, now) {
      prune(now);
      const tightest = tightestOf(lines.map((line) => ({ limit: line.limit, used: take(line) })));
      if (tightest === undefined) return null;
      let held = true;
      return {
        ...tightest,
        lines,
        release() {
          if (!held) return;
          held = false;
          for (const line of lines) {
            const entry = used.get(countedBy(line));
            if (entry !== undefined) entry.count -= 1;
          }
        },
      };
    },
    used: (counted) => used.get(counted)?.count ?? 0,
    restore: (counted, count, expires) => void used.set(counted, { count, expires }),
  };
}
