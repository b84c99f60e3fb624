import { EVENT_COLUMNS, type EventRow, eventOf } from '../history.ts';
import type { Checkpoint, StoredEvent, Tenant } from '../model.ts';
import type { Sql } from './sql.ts';

/** Events after `after`, in order, of all tenants. */
export async function eventsAfter(sql: Sql, after: number, limit: number): Promise<StoredEvent[]> {
  const rows = await sql.all<EventRow>(
    `SELECT ${EVENT_COLUMNS} FROM events WHERE seq > $1 ORDER BY seq LIMIT $2`,
    [after, limit],
  );
  return rows.map(eventOf);
}

/** The tenant's events that touch the runtime, or no runtime in particular: up to `each` before and after `time`. */
export async function eventsAround(
  sql: Sql,
  { org, env }: Tenant,
  runtimeId: string,
  time: number,
  each: number,
): Promise<StoredEvent[]> {
  const mine = `SELECT ${EVENT_COLUMNS} FROM events
    WHERE org = $1 AND env = $2 AND (runtime_id = $3 OR runtime_id IS NULL)`;
  const key = [org, env, runtimeId, time, each];
  const before = await sql.all<EventRow>(`${mine} AND time <= $4 ORDER BY time DESC, seq DESC LIMIT $5`, key);
  const after = await sql.all<EventRow>(`${mine} AND time > $4 ORDER BY time, seq LIMIT $5`, key);
  return [...before.reverse(), ...after].map(eventOf);
}

export async function putCheckpoint(sql: Sql, checkpoint: Checkpoint): Promise<void> {
  await sql.run(
    `INSERT INTO checkpoints (node, seq, document) VALUES ($1, $2, $3)
     ON CONFLICT (node, seq) DO UPDATE SET document = excluded.document`,
    [checkpoint.node, checkpoint.seq, JSON.stringify(checkpoint)],
  );
}

/** Signed checkpoints of a node (null: of all nodes), by node and record, those after `after`. */
export async function checkpoints(
  sql: Sql,
  node: string | null,
  after: Pick<Checkpoint, 'node' | 'seq'>,
  limit: number,
): Promise<Checkpoint[]> {
  const rows = await sql.all<{ document: string }>(
    `SELECT document FROM checkpoints WHERE (node, seq) > ($1, $2) AND ($3::text IS NULL OR node = $3)
     ORDER BY node, seq LIMIT $4`,
    [after.node, after.seq, node, limit],
  );
  return rows.map(({ document }) => JSON.parse(document) as Checkpoint);
}
