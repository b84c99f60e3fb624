/** Records `first` to `last` were missing when line `line` came. */
export interface Gap {
  readonly first: number;
  readonly last: number;
  readonly line: number;
}

/** Numbers that were skipped, and may yet come late. */
export interface Gaps {
  open(first: number, last: number, line: number): void;
  /** Whether this number was missing; now it is not. */
  fill(seq: number): boolean;
  left(): readonly Gap[];
}

/** Gaps that are kept apart: a log with more of them than these gives the last one for all. */
const GAPS_KEPT = 1000;

export function newGaps(): Gaps {
  let gaps: Gap[] = [];
  return {
    open(first, last, line) {
      if (gaps.length >= GAPS_KEPT)
        gaps = [...gaps.slice(0, -1), widened(gaps.at(-1), { first, last, line })];
      else gaps.push({ first, last, line });
    },
    fill(seq) {
      const hit = gaps.find(({ first, last }) => first <= seq && seq <= last);
      if (hit === undefined) return false;
      gaps = gaps.flatMap((gap) => (gap === hit ? without(gap, seq) : [gap]));
      return true;
    },
    left: () => gaps,
  };
}

function widened(before: Gap | undefined, gap: Gap): Gap {
  return before === undefined ? gap : { ...before, last: gap.last };
}

function without({ first, last, line }: Gap, seq: number): Gap[] {
  const parts = [
    { first, last: seq - 1, line },
    { first: seq + 1, last, line },
  ];
  return parts.filter((part) => part.first <= part.last);
}
