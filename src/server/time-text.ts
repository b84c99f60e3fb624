/** RFC 3339, from milliseconds. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
