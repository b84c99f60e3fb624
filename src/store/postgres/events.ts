import {
  alive,
  columnsOf,
  killed,
  NEW_STATE,
  type Of,
  type RuntimeRow,
  type State,
  sameOrDiffers,
  unknownBundle,
} from '../events.ts';
import type { EventPlace, StoreEvent } from '../model.ts';
import { changeKey } from './keys.ts';
import { one, type Sql } from './sql.ts';

/**
 * Appends an event and applies it (model.ts, `StoreEvent`), in the caller's transaction, which holds the lock of the order:
 * numbers have no gaps, and a reader that has seen one never sees a smaller one later. Throws `StoreConflict` before it
 * writes anything.
 */
export async function appendEvent(sql: Sql, epoch: number, event: StoreEvent): Promise<EventPlace> {
  switch (event.type) {
    case 'register':
      return register(sql, epoch, event);
    case 'kill':
      return change(sql, epoch, event, { status: 'killed' });
    case 'taint':
      return change(sql, epoch, event, { taint_epoch: event.payload.taint_epoch });
    case 'status':
      if ((await stateOf(sql, event)).status === 'killed') throw killed(event.payload.runtime_id);
      return change(sql, epoch, event, { status: event.payload.status });
    case 'reactivate':
      return reactivate(sql, epoch, event);
    case 'admin':
      return append(sql, epoch, event, event.payload.runtime_id ?? null);
    case 'revoke':
      await sql.run(
        'INSERT INTO revocations (org, env, kind, value) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
        [event.org, event.env, event.payload.kind, event.payload.value],
      );
      return append(sql, epoch, event, null);
    case 'bundle':
      return activateBundle(sql, epoch, event);
    case 'configured':
    case 'restore':
      return append(sql, epoch, event, null);
    case 'key':
      if (event.payload.change !== undefined) await changeKey(sql, event.payload.change, event.time);
      return append(sql, epoch, event, null);
  }
}

async function append(
  sql: Sql,
  epoch: number,
  { time, org, env, type, payload }: StoreEvent,
  runtimeId: string | null,
): Promise<EventPlace> {
  const row = await one<{ seq: number }>(
    sql,
    `INSERT INTO events (seq, epoch, time, org, env, type, runtime_id, payload)
     SELECT (SELECT coalesce(max(seq), 0) + 1 FROM events), $1, $2, $3, $4, $5, $6, $7 RETURNING seq`,
    [epoch, time, org, env, type, runtimeId, JSON.stringify(payload)],
  );
  if (row === null) throw new Error('an event was not given a number');
  return { epoch, seq: row.seq };
}

async function stateOf(
  sql: Sql,
  { org, env, payload }: Of<'kill' | 'taint' | 'status' | 'reactivate' | 'register'>,
): Promise<State> {
  const state = await one<State>(
    sql,
    'SELECT status, taint_epoch FROM runtime_states WHERE org = $1 AND env = $2 AND runtime_id = $3',
    [org, env, payload.runtime_id],
  );
  return state ?? NEW_STATE;
}

/** Monotonic whatever a caller says: killed stays killed, a taint epoch never falls. */
async function putState(
  sql: Sql,
  { org, env, payload }: Of<'kill' | 'taint' | 'status' | 'register'>,
  { status, taint_epoch }: State,
): Promise<void> {
  await sql.run(
    `INSERT INTO runtime_states AS s (org, env, runtime_id, status, taint_epoch) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (org, env, runtime_id) DO UPDATE SET
       status = CASE WHEN s.status = 'killed' THEN s.status ELSE excluded.status END,
       taint_epoch = greatest(s.taint_epoch, excluded.taint_epoch)`,
    [org, env, payload.runtime_id, status, taint_epoch],
  );
}

async function change(
  sql: Sql,
  epoch: number,
  event: Of<'kill' | 'taint' | 'status'>,
  to: Partial<State>,
): Promise<EventPlace> {
  await putState(sql, event, { ...(await stateOf(sql, event)), ...to });
  return append(sql, epoch, event, event.payload.runtime_id);
}

async function reactivate(sql: Sql, epoch: number, event: Of<'reactivate'>): Promise<EventPlace> {
  const { org, env, time, payload } = event;
  const { runtime_id, taint_epoch } = payload;
  const state = await stateOf(sql, event);
  if (state.status !== 'killed' || taint_epoch <= state.taint_epoch) throw alive(runtime_id);
  await sql.run(
    `UPDATE runtime_states SET status = 'active', taint_epoch = $4, revived_epoch = $4, revived_at = $5
     WHERE org = $1 AND env = $2 AND runtime_id = $3`,
    [org, env, runtime_id, taint_epoch, time],
  );
  return append(sql, epoch, event, runtime_id);
}

async function register(sql: Sql, epoch: number, event: Of<'register'>): Promise<EventPlace> {
  const { org, env, payload } = event;
  const id = payload.runtime_id;
  const state = await stateOf(sql, event);
  if (state.status === 'killed') throw killed(id);
  const wanted = columnsOf(payload);
  const found = await one<RuntimeRow>(
    sql,
    `SELECT agent_id, workspace_id, profile, subject, keys, seq FROM runtimes
     WHERE org = $1 AND env = $2 AND runtime_id = $3`,
    [org, env, id],
  );
  if (found !== null) return { epoch, seq: sameOrDiffers(id, found, wanted) };
  const place = await append(sql, epoch, event, id);
  await sql.run(
    `INSERT INTO runtimes (org, env, runtime_id, agent_id, workspace_id, profile, subject, keys, registered_at, seq)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [org, env, id, ...wanted, event.time, place.seq],
  );
  await putState(sql, event, { status: state.status, taint_epoch: payload.taint_epoch ?? 0 });
  return place;
}

async function activateBundle(sql: Sql, epoch: number, event: Of<'bundle'>): Promise<EventPlace> {
  const { sha256 } = event.payload;
  const known = await one(sql, 'SELECT 1 FROM bundles WHERE sha256 = $1', [sha256]);
  if (known === null) throw unknownBundle(sha256);
  const place = await append(sql, epoch, event, null);
  await sql.run('UPDATE bundles SET activated_at = $1, activated_seq = $2 WHERE sha256 = $3', [
    event.time,
    place.seq,
    sha256,
  ]);
  return place;
}
