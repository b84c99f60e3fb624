import type { Database } from 'better-sqlite3';
import type { RecordQuery, RecordStream, StreamedRecord, Tenant, Within } from './model.ts';
import { withheldLine } from './withheld.ts';

/**
 * Entries that one step of a query may look at, so that a rare filter over a long log never keeps the writer waiting:
 * the client asks step by step.
 */
export const SCAN_ENTRIES = 20_000;
/** A page ends early at this size. */
export const PAGE_BYTES = 4_194_304;

/** A place in the order of (time, position). */
export interface Place {
  readonly time: number;
  readonly position: number;
}

export interface QueryStep {
  readonly lines: string[];
  /** Where to go on; null at the end. */
  readonly next: Place | null;
}

/** Columns that a query may filter by: the only names that ever reach the SQL text. */
export const FILTERS = [
  'runtime_id',
  'agent_id',
  'workspace_id',
  'subject',
  'verdict',
  'reason',
  'route',
] as const;

export interface Row extends Place {
  readonly line: Buffer;
}
export interface StreamRow extends Row, Tenant {
  readonly node: string;
  readonly seq: number;
}

export type Bound = Record<string, string | number>;

export function queryStep(db: Database, query: Omit<RecordQuery, 'cursor'>, from: Place | null): QueryStep {
  const end = scanEnd(db, query, from);
  const bound = bind(query, from, end);
  const filters = FILTERS.filter((column) => query[column] !== undefined);
  for (const column of filters) bound[column] = String(query[column]);
  const where = [rangeOf(query, from), ...filters.map((column) => `${column} = @${column}`)];
  if (end !== null)
    where.push(`(time, position) ${query.order === 'asc' ? '<=' : '>='} (@endTime, @endPosition)`);
  const rows = db.prepare<unknown[], Row>(
    `SELECT time, position, line FROM records WHERE ${where.join(' AND ')} ORDER BY ${orderOf(query)} LIMIT @limit`,
  );
  const { page, full } = take(rows.iterate({ ...bound, limit: query.limit }), query.limit);
  const last = page.at(-1);
  const next = full && last !== undefined ? { time: last.time, position: last.position } : end;
  return { lines: page.map(lineOf), next };
}

/** The last entry that this step may look at; null where it may look at all that are left. */
function scanEnd(db: Database, query: Omit<RecordQuery, 'cursor'>, from: Place | null): Place | null {
  const last = db.prepare<unknown[], Place>(
    `SELECT time, position FROM records WHERE ${rangeOf(query, from)} ORDER BY ${orderOf(query)} LIMIT 1 OFFSET ${SCAN_ENTRIES - 1}`,
  );
  return last.get(bind(query, from, null)) ?? null;
}

export function rangeOf(query: Omit<RecordQuery, 'cursor'>, from: Place | null): string {
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

export function bind(query: Omit<RecordQuery, 'cursor'>, from: Place | null, end: Place | null): Bound {
  return {
    org: query.org,
    env: query.env,
    ...(query.since !== undefined && { since: query.since }),
    ...(query.until !== undefined && { until: query.until }),
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
  const seen = full ? (records.at(-1)?.position ?? end) : Math.max(end, Number(beyond ?? 0) - 1);
  return { records, next: Math.max(seen, after), done: seen >= last };
}

/** Of another tenant than `within`: withheld. */
export function streamed({ position, node, seq, org, env, line }: StreamRow, within: Within): StreamedRecord {
  const text = line.toString('utf8');
  const own = within === 'any' || (within.org === org && within.env === env);
  return { position, node, seq, line: own ? text : withheldLine(node, seq, text) };
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
