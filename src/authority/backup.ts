import { readdirSync, rmSync } from 'node:fs';
import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { randomBytes } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import { type LogKey, signCheckpoint } from '../decision-log/checkpoint.ts';
import type { Tenant } from '../store/model.ts';
import { NO_BACKUP } from '../store/postgres/no-backup.ts';
import { openStore, type Store } from '../store/store.ts';
import { Refusal } from './refusal.ts';

/** A backup on its way out: it is gone here when the stream ends, however that is. */
export interface BackupStream {
  readonly bytes: number;
  readonly stream: Readable;
}

export interface BackupOptions {
  /** The data folder: the copy is made there, so that it is on no other disk than the store. */
  readonly folder: string;
  readonly store: Pick<Store, 'copy' | 'size'>;
  readonly key: () => LogKey;
  readonly home: Tenant;
  readonly clock: () => number;
}

const COMPANIONS = ['', '-wal', '-shm', '-journal'];
const NAME = /^backup-[\w-]{12}\.db(?:-wal|-shm|-journal)?$/;

/** Takes away what a process that ended in the midst of a backup has left. */
export function removeLeftBackups(folder: string): void {
  for (const name of readdirSync(folder)) if (NAME.test(name)) rmSync(join(folder, name), { force: true });
}

/** Where the store is a PostgreSQL. Rejects with `Refusal` (`conflict`), which says how that one is backed up. */
export async function refuseBackup(): Promise<BackupStream> {
  throw new Refusal('conflict', NO_BACKUP);
}

/**
 * Gives the verb that copies the store while it runs: its records, events and state, with signed checkpoints for the heads
 * that the copy has. No private key is in it. One at a time (Refusal `conflict`), and only where there is room for it
 * (`insufficient_storage`).
 */
export function createBackup(options: BackupOptions): () => Promise<BackupStream> {
  const { folder, store, key, home, clock } = options;
  let busy = false;

  async function make(path: string): Promise<BackupStream> {
    const { used } = await store.size();
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < used * 1.1) {
      throw new Refusal('insufficient_storage', `${folder} has no room for a copy of ${used} bytes`);
    }
    const { heads } = await store.copy(path);
    const taken_at = clock();
    const { keyid, sign } = key();
    const signed = await Promise.all(heads.map((head) => signCheckpoint(head, taken_at, keyid, sign)));
    const copy = await openStore({ path, clock });
    try {
      await copy.seal({ v: 1, ...home, taken_at }, signed);
    } finally {
      await copy.close();
    }
    const file = await open(path, 'r');
    const { size } = await file.stat();
    return { bytes: size, stream: file.createReadStream() };
  }

  return async () => {
    if (busy) throw new Refusal('conflict', 'a backup is under way: wait until it is done');
    busy = true;
    const path = join(folder, `backup-${toBase64url(randomBytes(9))}.db`);
    const end = async () => {
      for (const companion of COMPANIONS) await rm(path + companion, { force: true });
      busy = false;
    };
    try {
      const made = await make(path);
      made.stream.once('close', () => void end());
      return made;
    } catch (error) {
      await end();
      throw error;
    }
  };
}
