/** One figure of the bench. `target` says what it should be; `met` is null where there is none. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly target?: string;
  readonly met?: boolean;
  /** What was measured, or what stands in the way. */
  readonly note?: string;
}

/** What one part of the bench found. */
export interface Report {
  readonly title: string;
  readonly figures: readonly Figure[];
  /** Said below the table: what was and was not checked. */
  readonly notes?: readonly string[];
}

export function median(numbers: readonly number[]): number {
  return percentile(numbers, 50);
}

/** The smallest of the numbers that at least `percent` of them do not exceed; NaN of none. */
export function percentile(numbers: readonly number[], percent: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN;
}

export function atMost(name: string, value: number, unit: string, limit: number, note?: string): Figure {
  return {
    name,
    value,
    unit,
    target: `<= ${limit}`,
    met: value <= limit,
    ...(note === undefined ? {} : { note }),
  };
}

export function atLeast(name: string, value: number, unit: string, limit: number, note?: string): Figure {
  return {
    name,
    value,
    unit,
    target: `>= ${limit}`,
    met: value >= limit,
    ...(note === undefined ? {} : { note }),
  };
}

/** Rounds that take turns, so that a noisy neighbour hits all candidates alike. One round of each warms up first. */
export async function interleaved<N extends string>(
  candidates: Readonly<Record<N, () => Promise<number>>>,
  rounds: number,
): Promise<Record<N, number[]>> {
  const names = Object.keys(candidates) as N[];
  const found = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<N, number[]>;
  for (let round = -1; round < rounds; round++) {
    for (const name of names) {
      const value = await candidates[name]();
      if (round >= 0) found[name].push(value);
    }
  }
  return found;
}

/** Keeps `count` of the items under way until all are done. */
export async function inFlight<T>(
  items: readonly T[],
  count: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  await Promise.all(Array.from({ length: count }, lane));
}

export function print(reports: readonly Report[]): void {
  for (const { title, figures, notes = [] } of reports) {
    console.log(`\n${title}`);
    console.table(
      Object.fromEntries(
        figures.map(({ name, value, unit, target = '', met, note = '' }) => [
          name,
          { value: shown(value), unit, target, met: met === undefined ? '' : met ? 'yes' : 'NO', note },
        ]),
      ),
    );
    for (const note of notes) console.log(note);
  }
}

function shown(value: number): string {
  if (Number.isNaN(value)) return '-';
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}
