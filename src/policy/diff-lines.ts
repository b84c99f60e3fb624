const CONTEXT = 3;

/**
 * A unified diff's one hunk, from the first changed line to the last, without the files' names. Lines between that
 * stand in both in the same order are shown as such. Empty for equal texts.
 */
export function diffLines(before: string, after: string): string[] {
  if (before === after) return [];
  const a = before.split('\n');
  const b = after.split('\n');
  const start = sharedStart(a, b);
  const end = sharedStart(a.slice(start).reverse(), b.slice(start).reverse());
  const from = Math.max(0, start - CONTEXT);
  const tail = a.slice(a.length - end, a.length - end + CONTEXT);
  const lines = [
    ...a.slice(from, start).map((line) => ` ${line}`),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...tail.map((line) => ` ${line}`),
  ];
  const count = (sign: string) => lines.filter((line) => !line.startsWith(sign)).length;
  return [`@@ -${from + 1},${count('+')} +${from + 1},${count('-')} @@`, ...lines];
}

function sharedStart(a: readonly string[], b: readonly string[]): number {
  const at = a.findIndex((line, i) => line !== b[i]);
  return at === -1 ? a.length : at;
}

/** By the longest common subsequence. */
function middle(a: readonly string[], b: readonly string[]): string[] {
  const lengths = commonLengths(a, b);
  const at = (i: number, j: number) => lengths[i]?.[j] ?? 0;
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push(` ${a[i]}`);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1))) {
      lines.push(`-${a[i]}`);
      i += 1;
    } else {
      lines.push(`+${b[j]}`);
      j += 1;
    }
  }
  return lines;
}

/** Of the rest of `a` from i and the rest of `b` from j. */
function commonLengths(a: readonly string[], b: readonly string[]): number[][] {
  const lengths = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const row = lengths[i];
      if (row === undefined) continue;
      const skip = Math.max(lengths[i + 1]?.[j] ?? 0, row[j + 1] ?? 0);
      row[j] = a[i] === b[j] ? (lengths[i + 1]?.[j + 1] ?? 0) + 1 : skip;
    }
  }
  return lengths;
}
