import { FILTERS } from '../blocks.ts';
import type { RecordQuery, RecordStream, Within } from '../model.ts';
import {
  type Bound,
  bind,
  boundTenant,
  lineOf,
  orderOf,
  PAGE_BYTES,
  type Place,
  type QueryStep,
  type Row,
  rangeOf,
  SCAN_ENTRIES,
  type StreamRow,
  streamed,
  take,
} from '../query.ts';
import { numbered, one, type Sql } from './sql.ts';

type Text<R extends Row> = Omit<R, 'line'> & { readonly line: string };

/** A page at once: nobody who writes waits for it, and each filter has an index of its own. */
export async function queryStep(
  sql: Sql,
  query: Omit<RecordQuery, 'cursor'>,
  from: Place | null,
): Promise<QueryStep> {
  const bound: Bound = { ...bind(query, from, null), limit: query.limit };
  const filters = FILTERS.filter((column) => query[column] !== undefined);
  for (const column of filters) bound[column] = String(query[column]);
  const where = [rangeOf(query, from), ...filters.map((column) => `${column} = @${column}`)].join(' AND ');
  const order = orderOf(query);
  const rows = await sql.all<Text<Row>>(
    ...numbered(
      within(
        `SELECT org, env, time, position, line FROM records WHERE ${where} ORDER BY ${order} LIMIT @limit`,
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
  const row = await one<{ last: number }>(sql, 'SELECT coalesce(max(position), 0) AS last FROM records');
  const last = row?.last ?? 0;
  const end = Math.min(last, after + SCAN_ENTRIES);
  const shown = whole ? 'any' : tenant;
  const rows = await sql.all<Text<StreamRow>>(
    ...numbered(
      within(
        `SELECT time, position, node, seq, org, env, line FROM records
         WHERE position > @after AND position <= @end ${tenantOf(shown)} ORDER BY position LIMIT @limit`,
        'position',
      ),
      { after, end, limit, ...boundTenant(shown) },
    ),
  );
  const { page, full } = take(rows.map(inBytes), limit);
  const records = page.map((one) => streamed(one, tenant));
  // Over what was pruned, or a number that somebody made up, in one step.
  const beyond = await one<{ next: number | null }>(
    sql,
    'SELECT min(position) AS next FROM records WHERE position > $1',
    [end],
  );
  const seen = full ? (records.at(-1)?.position ?? end) : Math.max(end, (beyond?.next ?? 0) - 1);
  return { records, next: Math.max(seen, after), done: seen >= last };
}

/** Of a page, what fits `PAGE_BYTES`, to the row that crosses it: the rest never leaves the server. */
function within(page: string, order: string): string {
  return `SELECT * FROM (
      SELECT p.*, sum(octet_length(line)) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING) - octet_length(line) AS before
      FROM (${page}) p) q
    WHERE before < ${PAGE_BYTES} ORDER BY ${order}`;
}

function tenantOf(tenant: Within): string {
  return tenant === 'any' ? '' : 'AND org = @org AND env = @env';
}

function inBytes<R extends Row>(row: Text<R>): R {
  return { ...row, line: Buffer.from(row.line) } as unknown as R;
}
