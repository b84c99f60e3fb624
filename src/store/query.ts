import type { Database } from 'better-sqlite3';
import { type Blocks, candidates, FILTERS, type Filter, type Filters, type TimeSpan } from './blocks.ts';
import type {
  CountRange,
  FollowedRecord,
  FollowedRecords,
  RecordCounts,
  RecordQuery,
  RecordStream,
  StreamedRecord,
  Tenant,
  Within,
} from './model.ts';
import { prepared } from './prepared.ts';
import { withheldLine } from './withheld.ts';

/**
 * Entries that one step of a query may look at, so that a rare filter over a long log never keeps the writer waiting:
 * the client asks step by step.
 */
export const SCAN_ENTRIES = 20_000;
/** What a filtered query looks at before it asks which blocks are worth it. */
const PROBE_ENTRIES = 4000;
/** Candidate blocks that one step looks into, or the last span of them a few more. */
const BLOCKS_SCANNED = 16;
/** Rows that one step of a filtered stream looks at: their lines lie between them. */
export const STREAM_ROWS = 2000;
/** A page ends early at this size. */
export const PAGE_BYTES = 4_194_304;

/** A place in the order of (time, position). */
export interface Place {
  readonly time: number;
  readonly position: number;
}

/** `since` in milliseconds, inclusive. */
export interface FollowFilters extends Filters {
  readonly since?: number | undefined;
}

export interface QueryStep {
  readonly lines: string[];
  /** Where to go on; null at the end. */
  readonly next: Place | null;
}

export interface Row extends Place {
  readonly line: Buffer;
}
export interface StreamRow extends Row, Tenant {
  readonly node: string;
  readonly seq: number;
}

export interface FollowedRow extends Omit<FollowedRecord, 'line'> {
  readonly line: Buffer;
}

export const FOLLOWED_COLUMNS = `position, node, seq, decision_id, time, org, env, ${FILTERS.join(', ')}, line`;

export type Bound = Record<string, string | number>;

type Query = Omit<RecordQuery, 'cursor'>;

/**
 * One step of a query. A filter that many records pass fills its page from the first entries; what they do not fill is looked
 * for by blocks (src/store/blocks.ts). Without blocks every
 * entry is looked at.
 */
export function queryStep(db: Database, query: Query, from: Place | null, blocks?: Blocks): QueryStep {
  if (blocks === undefined || !isRare(query)) return scan(db, query, from, SCAN_ENTRIES);
  if (from === null && query.after === undefined) return scan(db, query, from, PROBE_ENTRIES);
  return (
    byBlocks(db, query, from ?? startOf(query), blocks) ??
    scan(db, query, from ?? startOf(query), SCAN_ENTRIES)
  );
}

function isRare(query: Query): boolean {
  return query.after !== undefined || FILTERS.some((column) => query[column] !== undefined);
}

function startOf({ order }: Query): Place {
  return order === 'asc' ? { time: 0, position: 0 } : END_OF_TIME;
}

const END_OF_TIME: Place = { time: Number.MAX_SAFE_INTEGER, position: Number.MAX_SAFE_INTEGER };

/** Scans the spans of blocks that may hold something, the first few of them; null where blocks cannot say. */
function byBlocks(db: Database, query: Query, from: Place, blocks: Blocks): QueryStep | null {
  const asc = query.order === 'asc';
  const oldest = query.since ?? 0;
  const newest = (query.until ?? END_OF_TIME.time) - (query.until === undefined ? 0 : 1);
  const range = asc
    ? { from: Math.max(oldest, from.time), to: newest }
    : { from: oldest, to: Math.min(newest, from.time) };
  const found = candidates(db, query, range, blocks);
  if (found === null) return null;
  const lines: string[] = [];
  let left = BLOCKS_SCANNED;
  for (const span of found.spans) {
    const within = { ...query, since: span.from, until: span.to + 1, limit: query.limit - lines.length };
    // What blocks say is few needs no look at where the step must end.
    const few = query.after === undefined && found.records(span) <= SCAN_ENTRIES;
    const step = scan(db, within, from, few ? null : SCAN_ENTRIES);
    lines.push(...step.lines);
    if (step.next !== null) return { lines, next: step.next };
    left -= span.blocks;
    if (left <= 0) return { lines, next: after(span, asc) };
  }
  const { beyond } = found;
  if (beyond === null) return { lines, next: null };
  return {
    lines,
    next: asc ? { time: beyond, position: 0 } : { time: beyond, position: END_OF_TIME.position },
  };
}

function after({ from, to }: TimeSpan, asc: boolean): Place {
  return asc ? { time: to, position: END_OF_TIME.position } : { time: from, position: 0 };
}

/** `entries`: how many of them it may look at; null: as many as there are. */
function scan(db: Database, query: Query, from: Place | null, entries: number | null): QueryStep {
  const end = entries === null ? null : scanEnd(db, query, from, entries);
  const bound = bind(query, from, end);
  const where = passing(query, from, bound);
  if (end !== null)
    where.push(`(time, position) ${query.order === 'asc' ? '<=' : '>='} (@endTime, @endPosition)`);
  const rows = prepared<Row>(
    db,
    `SELECT time, position, line FROM records WHERE ${where.join(' AND ')} ORDER BY ${orderOf(query)} LIMIT @limit`,
  );
  const { page, full } = take(rows.iterate({ ...bound, limit: query.limit }), query.limit);
  const last = page.at(-1);
  const next = full && last !== undefined ? { time: last.time, position: last.position } : end;
  return { lines: page.map(lineOf), next };
}

/** Terms of what passes; the values of the filters go into `bound`. */
export function passing(query: Query, from: Place | null, bound: Bound): string[] {
  const where = [rangeOf(query, from), ...filterBy(query, bound).map((column) => `${column} = @${column}`)];
  if (query.after !== undefined) where.push('position > @after');
  if (query.up_to !== undefined) where.push('position <= @upTo');
  return where;
}

/** The filters that are asked for; their values go into `bound`. */
export function filterBy(filters: Filters, bound: Bound): Filter[] {
  const named = FILTERS.filter((column) => filters[column] !== undefined);
  for (const column of named) bound[column] = String(filters[column]);
  return named;
}

/** The last entry that this step may look at; null where it may look at all that are left. */
function scanEnd(db: Database, query: Query, from: Place | null, entries: number): Place | null {
  const last = prepared<Place>(
    db,
    `SELECT time, position FROM records WHERE ${rangeOf(query, from)} ORDER BY ${orderOf(query)} LIMIT 1 OFFSET ${entries - 1}`,
  );
  return last.get(bind(query, from, null)) ?? null;
}

export function rangeOf(query: Query, from: Place | null): string {
  const terms = ['org = @org', 'env = @env'];
  if (query.since !== undefined) terms.push('time >= @since');
  if (query.until !== undefined) terms.push('time < @until');
  if (from !== null)
    terms.push(`(time, position) ${query.order === 'asc' ? '>' : '<'} (@fromTime, @fromPosition)`);
  return terms.join(' AND ');
}

export function orderOf({ order }: Pick<RecordQuery, 'order'>): string {
  return order === 'asc' ? 'org, env, time, position' : 'org DESC, env DESC, time DESC, position DESC';
}

export function bind(query: Query, from: Place | null, end: Place | null): Bound {
  return {
    org: query.org,
    env: query.env,
    ...(query.since !== undefined && { since: query.since }),
    ...(query.until !== undefined && { until: query.until }),
    ...(query.after !== undefined && { after: query.after }),
    ...(query.up_to !== undefined && { upTo: query.up_to }),
    ...(from !== null && { fromTime: from.time, fromPosition: from.position }),
    ...(end !== null && { endTime: end.time, endPosition: end.position }),
  };
}

/** Records of one decision: more than one where it was amended, and then the last is the verdict. */
export function recordById(db: Database, decisionId: string, within: Within): string[] {
  const rows = db.prepare<unknown[], { readonly line: Buffer }>(
    `SELECT line FROM records WHERE decision_id = @decisionId ${tenantOf(within)} ORDER BY position`,
  );
  return rows.all({ decisionId, ...boundTenant(within) }).map(lineOf);
}

/**
 * The next records in the order of commit. A page looks at a bounded stretch of the log, and may be empty. `whole`: a
 * record of another tenant is withheld, not left out.
 */
export function streamRecords(
  db: Database,
  within: Within,
  after: number,
  limit: number,
  whole: boolean,
): RecordStream {
  const last = Number(db.prepare('SELECT coalesce(max(position), 0) FROM records').pluck().get());
  const end = Math.min(last, after + SCAN_ENTRIES);
  const shown = whole ? 'any' : within;
  const rows = db.prepare<unknown[], StreamRow>(
    `SELECT time, position, node, seq, org, env, line FROM records
     WHERE position > @after AND position <= @end ${tenantOf(shown)} ORDER BY position LIMIT @limit`,
  );
  const { page, full } = take(rows.iterate({ after, end, limit, ...boundTenant(shown) }), limit);
  const records = page.map((row) => streamed(row, within));
  // Over what was pruned, or a number that somebody made up, in one step.
  const beyond = db.prepare('SELECT min(position) FROM records WHERE position > ?').pluck().get(end);
  return { records, ...goneOn({ after, end, last, full, beyond: Number(beyond ?? 0) }, records) };
}

/** Positions of a step over the log. `beyond`: of the first record after `end`; 0: none. */
interface Stretch {
  readonly after: number;
  readonly end: number;
  readonly last: number;
  readonly full: boolean;
  readonly beyond: number;
}

/** Where a step that found these goes on. */
export function goneOn(
  { after, end, last, full, beyond }: Stretch,
  found: readonly { readonly position: number }[],
): Pick<RecordStream, 'next' | 'done'> {
  const seen = full ? (found.at(-1)?.position ?? end) : Math.max(end, beyond - 1);
  return { next: Math.max(seen, after), done: seen >= last };
}

/** Of another tenant than `within`: withheld. */
export function streamed({ position, node, seq, org, env, line }: StreamRow, within: Within): StreamedRecord {
  const text = line.toString('utf8');
  const own = within === 'any' || (within.org === org && within.env === env);
  return { position, node, seq, line: own ? text : withheldLine(node, seq, text) };
}

/**
 * The next records that pass the filters, in the order of commit, with what they are found by. A step looks at a bounded
 * stretch of the log, and may be empty.
 */
export function followRecords(
  db: Database,
  within: Within,
  filters: FollowFilters,
  after: number,
  limit: number,
): FollowedRecords {
  const last = Number(db.prepare('SELECT coalesce(max(position), 0) FROM records').pluck().get());
  const end = Math.min(last, after + STREAM_ROWS);
  const bound: Bound = { after, end, limit, ...boundTenant(within) };
  const where = [
    `position > @after AND position <= @end ${tenantOf(within)}`,
    ...filterBy(filters, bound).map((column) => `+${column} = @${column}`),
    ...(filters.since === undefined ? [] : ['+time >= @since']),
  ];
  if (filters.since !== undefined) bound.since = filters.since;
  const rows = db.prepare<unknown[], FollowedRow>(
    `SELECT ${FOLLOWED_COLUMNS} FROM records
     WHERE ${where.join(' AND ')} ORDER BY position LIMIT @limit`,
  );
  const { page, full } = take(rows.iterate(bound), limit);
  const records = page.map((row) => ({ ...row, line: lineOf(row) }));
  const beyond = db.prepare('SELECT min(position) FROM records WHERE position > ?').pluck().get(end);
  return { records, ...goneOn({ after, end, last, full, beyond: Number(beyond ?? 0) }, records) };
}

export interface CountRow extends Count {
  readonly seen: number;
}
type Count = RecordCounts['counts'][number];

export const COUNT = `SELECT verdict, reason, runtime_id, count(*) FILTER (WHERE position <= @upTo) AS count, count(*) AS seen
  FROM (
    SELECT verdict, reason, runtime_id, position FROM records
    WHERE org = @org AND env = @env AND time >= @since AND time < @until
    ORDER BY org DESC, env DESC, time DESC, position DESC LIMIT @entries) latest
  GROUP BY verdict, reason, runtime_id`;

/**
 * How many records there are from `since` to before `until`, by verdict, reason and runtime, of those up to a position and
 * at most `entries` of them, the latest first.
 */
export function countRecords(db: Database, { org, env }: Tenant, range: CountRange): RecordCounts {
  return countsOf(db.prepare<unknown[], CountRow>(COUNT).all({ org, env, ...range }), range);
}

export function countsOf(rows: readonly CountRow[], { entries }: CountRange): RecordCounts {
  const counts = rows.filter(({ count }) => count > 0).map(({ seen: _, ...count }) => count);
  return { counts, whole: rows.reduce((sum, { seen }) => sum + seen, 0) < entries };
}

function tenantOf(within: Within): string {
  // The `+` keeps SQLite from sorting the tenant's whole log: these reads go by position or decision.
  return within === 'any' ? '' : 'AND +org = @org AND +env = @env';
}

export function boundTenant(within: Within): Bound {
  return within === 'any' ? {} : { org: within.org, env: within.env };
}

export function take<R extends Row>(rows: Iterable<R>, limit: number): { page: R[]; full: boolean } {
  const page: R[] = [];
  let bytes = 0;
  for (const row of rows) {
    page.push(row);
    bytes += row.line.length;
    if (page.length >= limit || bytes >= PAGE_BYTES) return { page, full: true };
  }
  return { page, full: false };
}

export function lineOf({ line }: { readonly line: Buffer }): string {
  return line.toString('utf8');
}
