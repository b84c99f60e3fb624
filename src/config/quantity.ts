const MILLISECONDS = new Map([
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
]);

const BYTES = new Map([
  ['', 1],
  ['B', 1],
  ['KB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
  ['TB', 1e12],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
]);

/** `90d` -> milliseconds; null unless a whole number of s, m, h, d or w that can be counted exactly. */
export function parseDuration(text: string): number | null {
  return parse(text, MILLISECONDS);
}

/** `20GB` -> bytes (KB is 1,000, KiB 1,024); null unless a whole number with a known unit, or of bytes. */
export function parseSize(text: string): number | null {
  return parse(text, BYTES);
}

function parse(text: string, units: ReadonlyMap<string, number>): number | null {
  const parts = /^([1-9]\d{0,14})([A-Za-z]*)$/.exec(text);
  const unit = units.get(parts?.[2] ?? '?');
  if (parts === null || unit === undefined) return null;
  const value = Number(parts[1]) * unit;
  return Number.isSafeInteger(value) ? value : null;
}
