import type { Database } from 'better-sqlite3';
import { openDatabase } from './database.ts';
import { StoreOpenError } from './errors.ts';
import { eventWriter } from './events.ts';
import { metaOf } from './meta.ts';
import type { BackupMark } from './model.ts';
import { integrityOf, readerOf, type StoreReader } from './reader.ts';

/** A copy of a backup, on its way to be a store again. */
export interface Restoring extends StoreReader {
  readonly mark: BackupMark;
  /** What SQLite's own check finds; empty where the file is whole. */
  integrity(): string[];
  /** Numbers for a person: what is in it. */
  counts(): { readonly runtimes: number; readonly killed: number; readonly events: number };
  /** Makes it a store again, fenced at `now` (ms). */
  fence(now: number): void;
}

/**
 * Opens a copy of a backup, and brings it to the schema of today. Throws `StoreOpenError`: a newer schema, not ours, or a
 * database that is no backup.
 */
export function openRestoring(path: string, now: number): Restoring {
  const db = openDatabase(path, now, 'backup');
  const mark = markOf(db);
  if (mark === null) {
    db.close();
    throw new StoreOpenError('not_ours', `${path} was not made by \`lemma backup\``);
  }
  const count = (sql: string) => Number(db.prepare(sql).pluck().get());
  return {
    mark,
    ...readerOf(db),
    integrity: () => integrityOf(db),
    counts: () => ({
      runtimes: count('SELECT count(*) FROM runtimes'),
      killed: count("SELECT count(*) FROM runtime_states WHERE status = 'killed'"),
      events: count('SELECT coalesce(max(seq), 0) FROM events'),
    }),
    fence: (at) => fence(db, mark, at),
  };
}

function markOf(db: Database): BackupMark | null {
  const text = db.prepare("SELECT value FROM meta WHERE key = 'backup'").pluck().get();
  return typeof text === 'string' ? (JSON.parse(text) as BackupMark) : null;
}

/**
 * What happened after the backup is not known: nonces, budgets, kills, revocations, taints, retired keys. So nothing of
 * the time before counts any more: a new epoch begins, proofs issued until now are refused, and keys that signed no more
 * are retired. All of it in one transaction with the mark's removal.
 */
function fence(db: Database, { taken_at, org, env }: BackupMark, now: number): void {
  db.transaction(() => {
    const { epoch } = metaOf(db);
    const born = Math.max(now, epoch + 1);
    const put = db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
    put.run('birth', String(born));
    put.run('fenced_at', String(now));
    db.prepare("DELETE FROM meta WHERE key = 'backup'").run();
    const retire = db.prepare(
      "UPDATE signing_keys SET status = 'retired', until = ? WHERE status = 'previous' AND use <> 'checkpoint'",
    );
    retire.run(now);
    eventWriter(db, born)({ org, env, type: 'restore', payload: { taken_at, from_epoch: epoch }, time: now });
  }).immediate();
}
