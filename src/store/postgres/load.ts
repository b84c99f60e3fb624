import type { SpentNonce } from '../../schema/decision.ts';
import { expiredBefore } from '../commit.ts';
import {
  RUNTIME_COLUMNS,
  type RuntimeRow,
  runtimeOf,
  type StateRow,
  UNREGISTERED,
  WITH_STATE,
  withRevival,
} from '../load.ts';
import type { Meta } from '../meta.ts';
import type { BudgetState, ChainHead, Revocation, Runtime, Snapshot, Tenant } from '../model.ts';
import { listBundles } from './bundles.ts';
import { signingKeys } from './keys.ts';
import { one, type Sql } from './sql.ts';

/** What the gate needs at start, of one moment. `now` in milliseconds. */
export async function load(sql: Sql, now: number): Promise<Snapshot> {
  const { store_id, birth, epoch, fenced_at } = await metaOf(sql);
  const last = await one<{ seq: number }>(sql, 'SELECT coalesce(max(seq), 0) AS seq FROM events');
  const runtimes = await sql.all<RuntimeRow>(
    `SELECT ${RUNTIME_COLUMNS} FROM runtimes r ${WITH_STATE} ORDER BY org, env, runtime_id`,
  );
  return {
    store_id,
    birth,
    fenced_at,
    last: { epoch, seq: last?.seq ?? 0 },
    runtimes: runtimes.map(runtimeOf),
    unregistered: (await sql.all<StateRow>(UNREGISTERED)).map(withRevival),
    revocations: await sql.all<Revocation>('SELECT org, env, kind, value FROM revocations'),
    nonces: await sql.all<SpentNonce>('SELECT keyid, nonce, created FROM nonces WHERE created > $1', [
      expiredBefore(now),
    ]),
    budgets: await sql.all<BudgetState>('SELECT lemma_id, used, expires_at FROM budgets ORDER BY lemma_id'),
    chains: await sql.all<ChainHead>('SELECT node, seq, hash FROM chains ORDER BY node'),
    signing_keys: await signingKeys(sql),
    latest_record: await latestRecord(sql),
    bundles: await listBundles(sql),
  };
}

/** Of the event log: the birth time, so that a store made anew is always ahead of the one that was lost. */
export async function metaOf(sql: Sql): Promise<Meta> {
  const rows = await sql.all<{ key: string; value: string }>('SELECT key, value FROM meta');
  const values = new Map(rows.map(({ key, value }) => [key, value]));
  const birth = Number(values.get('birth'));
  const fenced = values.get('fenced_at');
  return {
    store_id: String(values.get('store_id')),
    birth,
    epoch: birth,
    fenced_at: fenced === undefined ? null : Number(fenced),
  };
}

/** Tenant by tenant along `records_by_time`: the latest, not the last, which a clock set back may have written. */
async function latestRecord(sql: Sql): Promise<number> {
  const row = await one<{ latest: number | null }>(
    sql,
    `WITH RECURSIVE tenants (org, env) AS (
       (SELECT org, env FROM records ORDER BY org, env LIMIT 1)
       UNION ALL
       SELECT n.org, n.env FROM tenants t CROSS JOIN LATERAL (
         SELECT r.org, r.env FROM records r WHERE (r.org, r.env) > (t.org, t.env) ORDER BY r.org, r.env LIMIT 1) n
     )
     SELECT max(l.time) AS latest FROM tenants t CROSS JOIN LATERAL (
       SELECT r.time FROM records r WHERE r.org = t.org AND r.env = t.env ORDER BY r.time DESC LIMIT 1) l`,
  );
  return row?.latest ?? 0;
}

/** Runtimes of a tenant by id, those after `after` first. */
export async function listRuntimes(
  sql: Sql,
  { org, env }: Tenant,
  after: string,
  limit: number,
): Promise<Runtime[]> {
  const rows = await sql.all<RuntimeRow>(
    `SELECT ${RUNTIME_COLUMNS} FROM runtimes r ${WITH_STATE}
     WHERE org = $1 AND env = $2 AND runtime_id > $3 ORDER BY runtime_id LIMIT $4`,
    [org, env, after, limit],
  );
  return rows.map(runtimeOf);
}
