import type { ChainEnd, Checkpoint, LogEnd, Pruning } from '../model.ts';
import { cutOf, dueOf, type Prunable, statedHash } from '../pruning.ts';
import { one, type Sql } from './sql.ts';

/** The log at one moment. */
export async function logEnd(sql: Sql): Promise<LogEnd> {
  const chains = await sql.all<ChainEnd>(
    `SELECT n.node, coalesce(c.seq, 0) AS seq, coalesce(c.hash, '') AS hash,
       (SELECT max(seq) FROM checkpoints p WHERE p.node = n.node) AS checkpoint
     FROM (SELECT node FROM chains UNION SELECT node FROM checkpoints UNION SELECT node FROM prunings) n
     LEFT JOIN chains c ON c.node = n.node ORDER BY n.node`,
  );
  const last = await one<{ position: number }>(
    sql,
    'SELECT coalesce(max(position), 0) AS position FROM records',
  );
  const prunings = await sql.all<{ document: string }>('SELECT document FROM prunings ORDER BY node');
  return {
    position: last?.position ?? 0,
    chains,
    prunings: prunings.map(({ document }) => JSON.parse(document) as Pruning),
  };
}

/** As src/store/pruning.ts. */
export async function prunable(sql: Sql, node: string, before: number | null): Promise<Prunable | null> {
  const seqIn = async (table: 'prunings' | 'chains') =>
    (await one<{ seq: number }>(sql, `SELECT seq FROM ${table} WHERE node = $1`, [node]))?.seq ?? 0;
  const after = await seqIn('prunings');
  const rows = await sql.all<{ document: string }>(
    'SELECT document FROM checkpoints WHERE node = $1 AND seq > $2 AND seq < $3 ORDER BY seq LIMIT 100',
    [node, after, await seqIn('chains')],
  );
  const due = dueOf(
    rows.map(({ document }) => JSON.parse(document) as Checkpoint),
    after,
    before,
  );
  const young = before === null ? null : await firstYoung(sql, node, after, due.at(-1)?.seq ?? after, before);
  const checkpoint = cutOf(due, young, before);
  if (checkpoint === undefined) return null;
  const record = await one<{ end: string }>(
    sql,
    'SELECT right(line, 54) AS "end" FROM records WHERE node = $1 AND seq = $2',
    [node, checkpoint.seq],
  );
  return { checkpoint, hash: record === null ? null : statedHash(record.end) };
}

async function firstYoung(
  sql: Sql,
  node: string,
  after: number,
  upTo: number,
  before: number,
): Promise<number | null> {
  const row = await one<{ seq: number | null }>(
    sql,
    'SELECT min(seq) AS seq FROM records WHERE node = $1 AND seq > $2 AND seq <= $3 AND time >= $4',
    [node, after, upTo, before],
  );
  return row?.seq ?? null;
}

/** Remembers a cut, durably, before anything of it goes. */
export async function putPruning(sql: Sql, pruning: Pruning): Promise<void> {
  await sql.run(
    `INSERT INTO prunings AS p (node, seq, document) VALUES ($1, $2, $3)
     ON CONFLICT (node) DO UPDATE SET seq = excluded.seq, document = excluded.document WHERE excluded.seq > p.seq`,
    [pruning.node, pruning.seq, JSON.stringify(pruning)],
  );
}

/** Takes out up to `limit` of the records, then of the checkpoints, below the node's cut; how many went. */
export async function removePruned(sql: Sql, node: string, limit: number): Promise<number> {
  const gone = await one<{ records: number }>(
    sql,
    `WITH gone AS (
       DELETE FROM records WHERE position IN (SELECT position FROM records
         WHERE node = $1 AND seq <= (SELECT seq FROM prunings WHERE node = $1) ORDER BY seq LIMIT $2)
       RETURNING octet_length(line) AS bytes
     ), counted AS (
       SELECT count(*) AS records, coalesce(sum(bytes), 0) AS bytes FROM gone
     ), less AS (
       UPDATE chains SET records = chains.records - counted.records, bytes = chains.bytes - counted.bytes
       FROM counted WHERE node = $1
     )
     SELECT records FROM counted`,
    [node, limit],
  );
  if (gone !== null && gone.records > 0) return gone.records;
  // The checkpoint at the cut itself stays: it says, signed then, what the chain goes on from.
  return sql.run(
    `DELETE FROM checkpoints WHERE node = $1 AND seq IN (SELECT seq FROM checkpoints
       WHERE node = $1 AND seq < (SELECT seq FROM prunings WHERE node = $1) ORDER BY seq LIMIT $2)`,
    [node, limit],
  );
}
