import Sqlite, { type Database } from 'better-sqlite3';
import { codeOf, messageOf, StoreOpenError } from './errors.ts';
import { prepareFile } from './file.ts';
import { migrate } from './migrations.ts';

/** How long an open waits for a process that is just going away. */
const LOCK_WAIT_MS = 200;
const UNLIMITED_PAGES = 0xfffffffe;

/**
 * Opens the database for this process alone, migrated, in WAL with a sync at every commit. The lock is the kernel's: it ends
 * with the process, however that ends. `now` (ms) is the birth time of a new one. A backup is no store until it is restored.
 *
 * Throws `StoreOpenError`.
 */
export function openDatabase(path: string, now: number, as: 'store' | 'backup' = 'store'): Database {
  prepareFile(path);
  let db: Database | undefined;
  try {
    db = new Sqlite(path, { timeout: LOCK_WAIT_MS });
    configure(db);
    migrate(db, now);
    if (as === 'store') refuseBackup(db);
    return db;
  } catch (error) {
    db?.close();
    throw openError(path, error);
  }
}

/** Holds the file to `maxBytes` (null: no limit), plus `reservePages`; never under what it has already. */
export function limitPages(db: Database, maxBytes: number | null, reservePages = 0): void {
  const size = Number(db.pragma('page_size', { simple: true }));
  const pages = maxBytes === null ? UNLIMITED_PAGES : Math.floor(maxBytes / size) + reservePages;
  db.pragma(`max_page_count = ${Math.min(Math.max(pages, 1), UNLIMITED_PAGES)}`);
}

function configure(db: Database): void {
  db.pragma('locking_mode = EXCLUSIVE');
  const mode = db.pragma('journal_mode = WAL', { simple: true });
  if (mode !== 'wal')
    throw new StoreOpenError('unusable', `${db.name}: this file system cannot hold a WAL database`);
  db.pragma('synchronous = FULL');
  // macOS: a plain fsync leaves the data in the drive's cache.
  db.pragma('fullfsync = ON');
  db.pragma('journal_size_limit = 67108864');
  db.pragma('temp_store = MEMORY');
  db.pragma('trusted_schema = OFF');
  db.exec('BEGIN IMMEDIATE; COMMIT');
}

/** An old state that came back unseen would give back spent nonces, budgets and kills. */
function refuseBackup(db: Database): void {
  if (db.prepare("SELECT 1 FROM meta WHERE key = 'backup'").get() === undefined) return;
  throw new StoreOpenError(
    'is_backup',
    `${db.name} is a backup: move it away, and bring it back with \`lemma restore\``,
  );
}

/** What stands in the way of opening a database, as one error. */
export function openError(path: string, error: unknown): StoreOpenError {
  if (error instanceof StoreOpenError) return error;
  const code = codeOf(error);
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new StoreOpenError(
      'in_use',
      `${path} is in use by another Lemma process: stop that one first, or give this one its own \`data\` folder`,
    );
  }
  if (code === 'SQLITE_NOTADB') {
    return new StoreOpenError(
      'not_ours',
      `${path} is not a Lemma database: move it away, or change \`data\``,
    );
  }
  return new StoreOpenError('unusable', `${path}: ${messageOf(error)} (${code})`);
}
