import type {
  CountRange,
  FollowedRecords,
  RecordCounts,
  RecordQuery,
  RecordStream,
  Tenant,
  Within,
} from '../model.ts';
import {
  type Bound,
  bind,
  boundTenant,
  COUNT,
  type CountRow,
  countsOf,
  FOLLOWED_COLUMNS,
  type FollowedRow,
  type FollowFilters,
  filterBy,
  goneOn,
  lineOf,
  orderOf,
  PAGE_BYTES,
  type Place,
  passing,
  type QueryStep,
  type Row,
  SCAN_ENTRIES,
  STREAM_ROWS,
  type StreamRow,
  streamed,
  take,
} from '../query.ts';
import { numbered, one, type Sql } from './sql.ts';

type Text<R extends { readonly line: Buffer }> = Omit<R, 'line'> & { readonly line: string };

/** A page at once: nobody who writes waits for it, and each filter has an index of its own. */
export async function queryStep(
  sql: Sql,
  query: Omit<RecordQuery, 'cursor'>,
  from: Place | null,
): Promise<QueryStep> {
  const bound: Bound = { ...bind(query, from, null), limit: query.limit };
  const where = passing(query, from, bound).join(' AND ');
  const order = orderOf(query);
  const rows = await sql.all<Text<Row>>(
    ...numbered(
      within(
        'org, env, time, position, line',
        `FROM records WHERE ${where} ORDER BY ${order} LIMIT @limit`,
        order,
      ),
      bound,
    ),
  );
  const { page, full } = take(rows.map(inBytes), query.limit);
  const last = page.at(-1);
  const next = full && last !== undefined ? { time: last.time, position: last.position } : null;
  return { lines: page.map(lineOf), next };
}

/** Records of one decision: more than one where it was amended, and then the last is the verdict. */
export async function recordById(sql: Sql, decisionId: string, tenant: Within): Promise<string[]> {
  const rows = await sql.all<{ line: string }>(
    ...numbered(
      `SELECT line FROM records WHERE decision_id = @decisionId ${tenantOf(tenant)} ORDER BY position`,
      { decisionId, ...boundTenant(tenant) },
    ),
  );
  return rows.map(({ line }) => line);
}

/** As src/store/query.ts. */
export async function streamRecords(
  sql: Sql,
  tenant: Within,
  after: number,
  limit: number,
  whole: boolean,
): Promise<RecordStream> {
  const last = await lastPosition(sql);
  const end = Math.min(last, after + SCAN_ENTRIES);
  const shown = whole ? 'any' : tenant;
  const rows = await sql.all<Text<StreamRow>>(
    ...numbered(
      within(
        'time, position, node, seq, org, env, line',
        `FROM records
         WHERE position > @after AND position <= @end ${tenantOf(shown)} ORDER BY position LIMIT @limit`,
        'position',
      ),
      { after, end, limit, ...boundTenant(shown) },
    ),
  );
  const { page, full } = take(rows.map(inBytes), limit);
  const records = page.map((one) => streamed(one, tenant));
  return { records, ...goneOn({ after, end, last, full, beyond: await firstBeyond(sql, end) }, records) };
}

/** As src/store/query.ts. */
export async function followRecords(
  sql: Sql,
  tenant: Within,
  filters: FollowFilters,
  after: number,
  limit: number,
): Promise<FollowedRecords> {
  const last = await lastPosition(sql);
  const end = Math.min(last, after + STREAM_ROWS);
  const bound: Bound = { after, end, limit, ...boundTenant(tenant) };
  const where = [
    `position > @after AND position <= @end ${tenantOf(tenant)}`,
    ...filterBy(filters, bound).map((column) => `${column} = @${column}`),
    ...(filters.since === undefined ? [] : ['time >= @since']),
  ];
  if (filters.since !== undefined) bound.since = filters.since;
  const rows = await sql.all<Text<FollowedRow>>(
    ...numbered(
      within(
        FOLLOWED_COLUMNS,
        `FROM records WHERE ${where.join(' AND ')} ORDER BY position LIMIT @limit`,
        'position',
      ),
      bound,
    ),
  );
  const { page, full } = take(rows.map(inBytes<FollowedRow>), limit);
  const records = page.map((row) => ({ ...row, line: lineOf(row) }));
  return { records, ...goneOn({ after, end, last, full, beyond: await firstBeyond(sql, end) }, records) };
}

/** As src/store/query.ts. */
export async function countRecords(sql: Sql, { org, env }: Tenant, range: CountRange): Promise<RecordCounts> {
  return countsOf(await sql.all<CountRow>(...numbered(COUNT, { org, env, ...range })), range);
}

async function lastPosition(sql: Sql): Promise<number> {
  const row = await one<{ last: number }>(sql, 'SELECT coalesce(max(position), 0) AS last FROM records');
  return row?.last ?? 0;
}

/** Over what was pruned, or a number that somebody made up, in one step. 0: there is none. */
async function firstBeyond(sql: Sql, end: number): Promise<number> {
  const row = await one<{ next: number | null }>(
    sql,
    'SELECT min(position) AS next FROM records WHERE position > $1',
    [end],
  );
  return row?.next ?? 0;
}

/** Of a page, what fits `PAGE_BYTES`, to the row that crosses it: the rest never leaves the server. */
function within(columns: string, page: string, order: string): string {
  return `SELECT ${columns} FROM (
      SELECT p.*, sum(octet_length(line)) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING) - octet_length(line) AS before
      FROM (SELECT ${columns} ${page}) p) q
    WHERE before < ${PAGE_BYTES} ORDER BY ${order}`;
}

function tenantOf(tenant: Within): string {
  return tenant === 'any' ? '' : 'AND org = @org AND env = @env';
}

function inBytes<R extends Row>(row: Text<R>): R {
  return { ...row, line: Buffer.from(row.line) } as unknown as R;
}
