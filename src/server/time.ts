import { time } from '../schema/api-decisions.ts';

/** RFC 3339, from milliseconds. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

export function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : timeText(ms);
}

/** Said of what `msOf` does not read. */
export const NO_TIME = 'is no time of any calendar; RFC 3339: 2026-10-01T12:00:00Z';

const RFC3339 = new RegExp(time.pattern);

/**
 * Milliseconds of an RFC 3339 time; null for any other text. `Date.parse` takes more: 30 February, 24 o'clock, a date alone.
 */
export function msOf(text: string): number | null {
  if (!RFC3339.test(text) || text.slice(11, 13) === '24') return null;
  const date = text.slice(0, 10);
  const ms = Date.parse(text);
  const day = Date.parse(`${date}T00:00:00Z`);
  return Number.isNaN(ms) || Number.isNaN(day) || !timeText(day).startsWith(date) ? null : ms;
}
