import { close, fdatasync, open } from 'node:fs';
import type { Database } from 'better-sqlite3';
import { prepareFile } from './file.ts';
import type { BackupMark, ChainHead, Checkpoint } from './model.ts';

/** Pages of one step (256 KiB): what a commit may have to wait for. */
const STEP_PAGES = 64;
/** Steps between two syncs of the copy, so that the one at its end has little left to write. 16 MiB. */
const SYNC_EVERY = 64;

export interface Copied {
  /** Heads of the chains in the copy. */
  readonly heads: readonly ChainHead[];
}

/**
 * Copies the open database to a new file (0600), step by step: between two of them the thread does what else is asked.
 * What is written meanwhile is in the copy too (sqlite.org/c3ref/backup_finish.html: same connection), so that it is the
 * database as it was when the last step was done.
 */
export async function copyDatabase(db: Database, path: string): Promise<Copied> {
  prepareFile(path);
  const syncing = startSyncing(path);
  let steps = 0;
  try {
    await db.backup(path, {
      progress: () => {
        steps += 1;
        if (steps % SYNC_EVERY === 0) syncing.sync();
        return STEP_PAGES;
      },
    });
    // Nothing else has run since the last step: these are the heads of the copy.
    return { heads: db.prepare<unknown[], ChainHead>('SELECT node, seq, hash FROM chains').all() };
  } finally {
    syncing.end();
  }
}

/** Syncs a file from another thread, one sync at a time. */
function startSyncing(path: string): { sync(): void; end(): void } {
  let file: number | null = null;
  let busy = true;
  let ended = false;
  const shut = () => {
    // Never while SQLite has the file open: closing it would release its locks.
    if (file !== null) close(file, () => undefined);
    file = null;
  };
  open(path, 'r+', (error, opened) => {
    busy = false;
    if (error === null) file = opened;
    if (ended) shut();
  });
  return {
    sync() {
      if (busy || file === null) return;
      busy = true;
      fdatasync(file, () => {
        busy = false;
        if (ended) shut();
      });
    },
    end() {
      ended = true;
      if (!busy) shut();
    },
  };
}

/**
 * Makes a copy a backup: with checkpoints for its heads, and a mark, by which no service starts on it (only a restore
 * takes it away). It becomes one plain file, without a WAL.
 */
export function sealCopy(db: Database, mark: BackupMark, checkpoints: readonly Checkpoint[]): void {
  db.transaction(() => {
    const put = db.prepare('INSERT OR REPLACE INTO checkpoints (node, seq, document) VALUES (?, ?, ?)');
    for (const one of checkpoints) put.run(one.node, one.seq, JSON.stringify(one));
    db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('backup', ?)").run(JSON.stringify(mark));
  }).immediate();
  db.pragma('journal_mode = DELETE');
}
