/** RFC 3339, from milliseconds. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

export function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : timeText(ms);
}

/** Said of what `msOf` does not read. */
export const NO_TIME = 'is no time of any calendar; RFC 3339: 2026-10-01T12:00:00Z';

/** Milliseconds of an RFC 3339 time whose form is checked; null where its day is in no calendar: `Date.parse` takes 30 February. */
export function msOf(text: string): number | null {
  const date = text.slice(0, 10);
  const ms = Date.parse(text);
  const day = Date.parse(`${date}T00:00:00Z`);
  return Number.isNaN(ms) || Number.isNaN(day) || !timeText(day).startsWith(date) ? null : ms;
}
