import { chmodSync, closeSync, lstatSync, openSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder } from '../config/make-folder.ts';
import { codeOf, messageOf, StoreOpenError } from './errors.ts';

const OWNER_ONLY = 0o600;
const COMPANIONS = ['', '-wal', '-shm', '-journal'];

/**
 * Makes sure that the database file is a plain file for its owner only: creates it and its folder (0700), tightens an
 * existing one to 0600, refuses a symlink. SQLite gives the `-wal` the mode of the database.
 *
 * Throws `StoreOpenError`.
 */
export function prepareFile(path: string): void {
  if (path !== path.trim())
    throw new StoreOpenError('unusable', `${path}: a data path must not end in white space`);
  try {
    makeFolder(dirname(path), 0o700);
    for (const companion of COMPANIONS) tighten(path + companion);
    create(path);
  } catch (error) {
    if (error instanceof StoreOpenError) throw error;
    throw new StoreOpenError(
      'unusable',
      `${path}: ${messageOf(error)}; check \`data\` and who owns that folder`,
    );
  }
}

/** An existing file is never opened here: closing it would release the POSIX locks that this process holds on it. */
function tighten(path: string): void {
  const found: Stats | undefined = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isSymbolicLink()) {
    throw new StoreOpenError(
      'symlink',
      `${path} is a symbolic link; point \`data\` at the real folder instead`,
    );
  }
  if (!found.isFile())
    throw new StoreOpenError('not_a_file', `${path} is not a file; move it away or change \`data\``);
  if ((found.mode & 0o777) !== OWNER_ONLY) chmodSync(path, OWNER_ONLY);
}

function create(path: string): void {
  try {
    closeSync(openSync(path, 'wx', OWNER_ONLY));
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}
