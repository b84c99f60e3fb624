import type { Database } from 'better-sqlite3';
import type { SpentNonce } from '../schema/decision.ts';
import { listBundles } from './bundles.ts';
import { expiredBefore } from './commit.ts';
import { signingKeys } from './keys.ts';
import { metaOf } from './meta.ts';
import type {
  BudgetState,
  ChainHead,
  EventPlace,
  Revocation,
  Runtime,
  RuntimeState,
  Snapshot,
  Tenant,
} from './model.ts';

export const RUNTIME_COLUMNS = `r.org, r.env, r.runtime_id, r.agent_id, r.workspace_id, r.profile, r.subject, r.keys,
  r.registered_at, s.status, s.taint_epoch, s.revived_epoch, s.revived_at`;
export const WITH_STATE = 'JOIN runtime_states s USING (org, env, runtime_id)';

export interface Revived {
  readonly revived_epoch: number | null;
  readonly revived_at: number | null;
}
export type StateRow = Omit<RuntimeState, 'revived'> & Revived;
export type RuntimeRow = Omit<Runtime, 'keys' | 'revived'> & Revived & { readonly keys: string | null };

/** States of runtimes that are not registered. */
export const UNREGISTERED = `SELECT org, env, runtime_id, status, taint_epoch, revived_epoch, revived_at FROM runtime_states s
  WHERE NOT EXISTS (SELECT 1 FROM runtimes r WHERE r.org = s.org AND r.env = s.env AND r.runtime_id = s.runtime_id)
  ORDER BY org, env, runtime_id`;

/** What the gate needs at start. `now` in milliseconds. */
export function load(db: Database, now: number): Snapshot {
  const { store_id, birth, epoch, fenced_at } = metaOf(db);
  return {
    store_id,
    birth,
    fenced_at,
    last: { epoch, seq: lastSeq(db) },
    runtimes: db
      .prepare<unknown[], RuntimeRow>(`SELECT ${RUNTIME_COLUMNS} FROM runtimes r ${WITH_STATE}`)
      .all()
      .map(runtimeOf),
    unregistered: db.prepare<unknown[], StateRow>(UNREGISTERED).all().map(withRevival),
    revocations: db.prepare<unknown[], Revocation>('SELECT org, env, kind, value FROM revocations').all(),
    nonces: db
      .prepare<unknown[], SpentNonce>('SELECT keyid, nonce, created FROM nonces WHERE created > ?')
      .all(expiredBefore(now)),
    budgets: db.prepare<unknown[], BudgetState>('SELECT lemma_id, used, expires_at FROM budgets').all(),
    chains: db.prepare<unknown[], ChainHead>('SELECT node, seq, hash FROM chains').all(),
    signing_keys: signingKeys(db),
    latest_record: latestRecord(db),
    bundles: listBundles(db),
  };
}

/** Tenant by tenant along `records_by_time`: the latest, not the last, which a clock set back may have written. */
function latestRecord(db: Database): number {
  const latest = db
    .prepare<unknown[], number>(
      `WITH RECURSIVE tenants (org, env) AS (
         SELECT org, env FROM (SELECT org, env FROM records ORDER BY org, env LIMIT 1)
         UNION ALL
         SELECT r.org, r.env FROM tenants t JOIN records r ON r.position = coalesce(
           (SELECT position FROM records WHERE org = t.org AND env > t.env ORDER BY env, time, position LIMIT 1),
           (SELECT position FROM records WHERE org > t.org ORDER BY org, env, time, position LIMIT 1))
       )
       SELECT max((SELECT max(time) FROM records r WHERE r.org = t.org AND r.env = t.env)) FROM tenants t`,
    )
    .pluck();
  return latest.get() ?? 0;
}

/** Runtimes of a tenant by id, those after `after` first. */
export function listRuntimes(db: Database, tenant: Tenant, after: string, limit: number): Runtime[] {
  return db
    .prepare<unknown[], RuntimeRow>(
      `SELECT ${RUNTIME_COLUMNS} FROM runtimes r ${WITH_STATE}
       WHERE r.org = ? AND r.env = ? AND r.runtime_id > ? ORDER BY r.runtime_id LIMIT ?`,
    )
    .all(tenant.org, tenant.env, after, limit)
    .map(runtimeOf);
}

export function runtimeOf(row: RuntimeRow): Runtime {
  return { ...withRevival(row), keys: row.keys === null ? null : (JSON.parse(row.keys) as string[]) };
}

export function withRevival<R extends Revived>({ revived_epoch, revived_at, ...row }: R) {
  if (revived_epoch === null || revived_at === null) return row;
  return { ...row, revived: { taint_epoch: revived_epoch, at: revived_at } };
}

function lastSeq(db: Database): EventPlace['seq'] {
  return Number(db.prepare('SELECT coalesce(max(seq), 0) FROM events').pluck().get());
}
