import { lstatSync } from 'node:fs';
import Sqlite, { type Database } from 'better-sqlite3';
import { openError } from './database.ts';
import { StoreOpenError } from './errors.ts';
import { checkpoints } from './history.ts';
import { signingKeys } from './keys.ts';
import { checkSchema, SCHEMA_VERSION } from './migrations.ts';
import type { SigningKey } from './model.ts';
import { logEnd } from './pruning.ts';
import { streamRecords } from './query.ts';
import type { Store } from './store.ts';

/** The log of a database that no service has open, read and never changed. */
export interface StoreReader extends Pick<Store, 'streamRecords' | 'checkpointsAfter' | 'logEnd'> {
  signingKeys(): Promise<readonly SigningKey[]>;
  close(): void;
}

/** Throws `StoreOpenError`: not there, in use, not ours, or of another schema. */
export function openReader(path: string): StoreReader {
  return readerOf(openReadOnly(path));
}

export function readerOf(db: Database): StoreReader {
  return {
    streamRecords: async (within, after, limit, whole = false) =>
      streamRecords(db, within, after, limit, whole),
    checkpointsAfter: async (node, seq, limit) => checkpoints(db, node, { node, seq }, limit),
    logEnd: async () => logEnd(db),
    signingKeys: async () => signingKeys(db),
    close: () => db.close(),
  };
}

/** A backup that nothing else has open. Throws `StoreOpenError`. */
export function openBackup(path: string): StoreReader & { integrity(): string[] } {
  const db = openReadOnly(path);
  return { ...readerOf(db), integrity: () => integrityOf(db) };
}

/** What SQLite's own check finds; nothing where the file is whole. */
export function integrityOf(db: Database): string[] {
  const found = db.prepare<unknown[], string>('PRAGMA integrity_check(20)').pluck().all();
  return found.filter((line) => line !== 'ok');
}

function openReadOnly(path: string): Database {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true)
    throw new StoreOpenError('not_a_file', `${path} is not there, or no file`);
  let db: Database | undefined;
  try {
    db = new Sqlite(path, { readonly: true, fileMustExist: true });
    const version = checkSchema(db);
    if (version < SCHEMA_VERSION) {
      throw new StoreOpenError(
        'older_schema',
        `${path} was written by an older Lemma (schema ${version} of ${SCHEMA_VERSION}): start \`lemma serve\` on it once`,
      );
    }
    return db;
  } catch (error) {
    db?.close();
    throw openError(path, error);
  }
}
