import type { Tenant } from '../model.ts';
import type { SeenPlace } from '../seen.ts';
import { appendEvent } from './events.ts';
import { metaOf } from './load.ts';
import { one, type Sql } from './sql.ts';

/** How far the database has come, and this node's chain in it. */
export async function placeOf(sql: Sql, node: string): Promise<SeenPlace> {
  const { store_id, epoch } = await metaOf(sql);
  const row = await one<{ seq: number; record: number }>(
    sql,
    `SELECT (SELECT coalesce(max(seq), 0) FROM events) AS seq,
       coalesce((SELECT seq FROM chains WHERE node = $1), 0) AS record`,
    [node],
  );
  return { store_id, epoch, seq: row?.seq ?? 0, record: row?.record ?? 0 };
}

/**
 * What src/store/restore.ts does to a backup, to an older state that was put back: what happened after it is not known, so
 * nothing issued before `now` (ms) counts any more. A new epoch begins, after the one that was `seen` last. One transaction,
 * under the lock of the order.
 */
export async function fence(
  sql: Sql,
  lock: string,
  { org, env }: Tenant,
  seen: SeenPlace,
  now: number,
): Promise<void> {
  await sql.run('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
  try {
    await sql.all('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [lock]);
    const { epoch } = await metaOf(sql);
    const born = Math.max(now, epoch + 1, seen.epoch + 1);
    await sql.run(
      `INSERT INTO meta (key, value) VALUES ('birth', $1), ('fenced_at', $2)
       ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
      [String(born), String(now)],
    );
    await sql.run(
      "UPDATE signing_keys SET status = 'retired', until = $1 WHERE status = 'previous' AND use <> 'checkpoint'",
      [now],
    );
    const payload = { taken_at: now, from_epoch: epoch, seen_epoch: seen.epoch, seen_seq: seen.seq };
    await appendEvent(sql, born, { org, env, type: 'restore', payload, time: now });
    await sql.run('COMMIT');
  } catch (error) {
    await sql.run('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
