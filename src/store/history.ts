import type { Database } from 'better-sqlite3';
import type { Checkpoint, StoredEvent, Tenant } from './model.ts';

export type EventRow = Omit<StoredEvent, 'payload'> & { readonly payload: string };

export const EVENT_COLUMNS = 'epoch, seq, time, org, env, type, runtime_id, payload';

/** Events after `after`, in order, of all tenants: what another node must catch up with. */
export function eventsAfter(db: Database, after: number, limit: number): StoredEvent[] {
  return db
    .prepare<unknown[], EventRow>(`SELECT ${EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?`)
    .all(after, limit)
    .map(eventOf);
}

/** The tenant's events that touch the runtime, or no runtime in particular: up to `each` before and after `time`. */
export function eventsAround(
  db: Database,
  tenant: Tenant,
  runtimeId: string,
  time: number,
  each: number,
): StoredEvent[] {
  const mine = 'FROM events WHERE org = ? AND env = ? AND (runtime_id = ? OR runtime_id IS NULL)';
  const key = [tenant.org, tenant.env, runtimeId, time, each];
  const before = db.prepare<unknown[], EventRow>(
    `SELECT ${EVENT_COLUMNS} ${mine} AND time <= ? ORDER BY time DESC, seq DESC LIMIT ?`,
  );
  const after = db.prepare<unknown[], EventRow>(
    `SELECT ${EVENT_COLUMNS} ${mine} AND time > ? ORDER BY time, seq LIMIT ?`,
  );
  return [...before.all(...key).reverse(), ...after.all(...key)].map(eventOf);
}

export function putCheckpoint(db: Database, checkpoint: Checkpoint): void {
  db.prepare('INSERT OR REPLACE INTO checkpoints (node, seq, document) VALUES (?, ?, ?)').run(
    checkpoint.node,
    checkpoint.seq,
    JSON.stringify(checkpoint),
  );
}

/** Signed checkpoints of a node (null: of all nodes), by node and record, those after `after`. */
export function checkpoints(
  db: Database,
  node: string | null,
  after: Pick<Checkpoint, 'node' | 'seq'>,
  limit: number,
): Checkpoint[] {
  return db
    .prepare<unknown[], string>(
      `SELECT document FROM checkpoints WHERE (node, seq) > (@afterNode, @afterSeq) AND (@node IS NULL OR node = @node)
       ORDER BY node, seq LIMIT @limit`,
    )
    .pluck()
    .all({ node, afterNode: after.node, afterSeq: after.seq, limit })
    .map((document) => JSON.parse(document) as Checkpoint);
}

export function eventOf(row: EventRow): StoredEvent {
  return { ...row, payload: JSON.parse(row.payload) as StoredEvent['payload'] };
}
