/** Rows that a page keeps; more are let go, the oldest first: the log has them still. */
export const KEPT = 5000;

export interface Kept {
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/**
 * What a page has of the feed: bounded, however much comes, and nothing is lost without a count. Each decision that came is
 * in `rows`, in `waiting`, or counted in `missed` or `letGo`.
 */
export interface FeedBuffer<Row extends Kept> {
  /** Those that are shown, the latest first. */
  rows: Row[];
  /** Those that came since, the latest last. */
  waiting: Row[];
  /** Of those that came since: let go before they were shown. */
  missed: number;
  /** Let go for newer ones. */
  letGo: number;
  /** Whether others, uncounted, were passed over: there were more since the page last heard of any than are kept. */
  gap: boolean;
  /** What is shown begins at this time, milliseconds since 1970: between it and what is older there are others. */
  from: number;
  readonly seen: Set<string>;
  /** Time of the latest. */
  newest: number | null;
}

export function emptyBuffer<Row extends Kept>(): FeedBuffer<Row> {
  return { rows: [], waiting: [], missed: 0, letGo: 0, gap: false, from: 0, seen: new Set(), newest: null };
}

/** Rows that came, the latest last. Those that are here already are none. */
export function take<Row extends Kept>(buffer: FeedBuffer<Row>, rows: readonly Row[]): void {
  for (const row of rows) if (isNew(buffer, row)) buffer.waiting.push(row);
  bound(buffer);
}

/** Rows that were asked for, the latest first: older than all, or among those that came meanwhile. */
export function fill<Row extends Kept>(buffer: FeedBuffer<Row>, rows: readonly Row[]): void {
  const fresh = rows.filter((row) => isNew(buffer, row));
  if (fresh.length === 0) return;
  buffer.rows = [...buffer.rows, ...fresh].sort((a, b) => b.time - a.time);
  trim(buffer);
}

/** What a stream did not bring, the latest first: it belongs before and between what came by it. */
export function mend<Row extends Kept>(buffer: FeedBuffer<Row>, rows: readonly Row[]): void {
  const { waiting, missed, letGo } = buffer;
  // Older than all that is kept: it was counted when it was let go.
  const oldest = missed > 0 ? waiting[0] : letGo > 0 ? buffer.rows.at(-1) : undefined;
  for (const row of rows) if (row.time >= (oldest?.time ?? 0) && isNew(buffer, row)) waiting.push(row);
  waiting.sort((a, b) => a.time - b.time);
  bound(buffer);
}

/** Between what is older than a time and the rest are others, which are nowhere here: what is shown next begins after them. */
export function passOver(buffer: FeedBuffer<Kept>, time: number): void {
  buffer.from = Math.max(buffer.from, time);
}

/** Shows what waits. */
export function show<Row extends Kept>(buffer: FeedBuffer<Row>): void {
  if (buffer.waiting.length === 0) return;
  const { rows, waiting } = buffer;
  const latest = rows[0];
  const [first] = waiting;
  buffer.rows = [...waiting.reverse(), ...rows];
  // After a break some may belong below.
  if (latest !== undefined && first !== undefined && first.time < latest.time)
    buffer.rows.sort((a, b) => b.time - a.time);
  buffer.waiting = [];
  buffer.letGo += buffer.missed;
  buffer.missed = 0;
  trim(buffer);
}

function isNew<Row extends Kept>(buffer: FeedBuffer<Row>, { key, time }: Row): boolean {
  if (buffer.seen.has(key)) return false;
  buffer.seen.add(key);
  buffer.newest = Math.max(buffer.newest ?? 0, time);
  return true;
}

function bound(buffer: FeedBuffer<Kept>): void {
  const over = buffer.waiting.length - KEPT;
  if (over <= 0) return;
  for (const { key } of buffer.waiting.splice(0, over)) buffer.seen.delete(key);
  buffer.missed += over;
}

/** What is let go is forgotten, too: a stream of days must not grow. */
function trim<Row extends Kept>(buffer: FeedBuffer<Row>): void {
  const after = buffer.rows.findIndex(({ time }) => time < buffer.from);
  if (after !== -1) buffer.gap = true;
  const length = Math.min(KEPT, after === -1 ? buffer.rows.length : after);
  if (length === buffer.rows.length) return;
  const rest = buffer.rows.slice(length);
  for (const { key } of rest) buffer.seen.delete(key);
  buffer.letGo += rest.length;
  buffer.rows = buffer.rows.slice(0, length);
}
