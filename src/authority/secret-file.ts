import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { randomBytes } from '#runtime';
import { makeFolder } from '../config/make-folder.ts';
import { toBase64url } from '../crypto/base64url.ts';

/** A key that cannot be used as it lies there. The message names the file and the mend, never what is in it. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError';
  readonly path: string;

  constructor(path: string, message: string) {
    super(`${path}: ${message}`);
    this.path = path;
  }
}

const OTHERS = 0o077;
/** Windows has access lists instead, which a mode does not show. */
const HAS_MODES = process.platform !== 'win32';

/**
 * Makes a folder (0700), or checks one that is there. Throws FolderError where none can be made, KeyFileError for a symlink
 * and for one open to others.
 */
export function privateFolder(path: string): void {
  makeFolder(path, 0o700);
  const stats = lstatSync(path);
  if (stats.isSymbolicLink() || !stats.isDirectory())
    throw new KeyFileError(path, 'must be a folder, not a link to one');
  checkOwner(path, stats, '700');
}

/**
 * The text of a secret file (without its line feed), or null where there is none.
 * Throws KeyFileError for a symlink, for what is not a plain file, and for one that others may read or write.
 */
export function readSecret(path: string): string | null {
  let file: number;
  try {
    // Opened without following links, then judged by its descriptor: nothing can be swapped in between.
    file = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return null;
    const link = code === 'ELOOP' || code === 'EMLINK';
    throw new KeyFileError(
      path,
      link ? 'must not be a symbolic link: put the file itself there' : `cannot be read: ${code}`,
    );
  }
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) throw new KeyFileError(path, 'must be a plain file');
    checkOwner(path, stats, '600');
    return readFileSync(file, 'utf8').replace(/\n$/, '');
  } finally {
    closeSync(file);
  }
}

function checkOwner(path: string, stats: Stats, mode: string): void {
  if (!HAS_MODES) return;
  if ((stats.mode & OTHERS) !== 0) {
    const now = (stats.mode & 0o777).toString(8);
    throw new KeyFileError(
      path,
      `is open to others (mode ${now}): its secrets may be known; if not, chmod ${mode} it`,
    );
  }
  const user = process.geteuid?.();
  if (user !== undefined && user !== 0 && stats.uid !== user) {
    throw new KeyFileError(path, 'belongs to another user: run as that one, or change the owner');
  }
}

/**
 * Writes a secret that is not there yet, one line, 0600; false where the file is there already, which then stays.
 * Whole or not at all: a crash half-way leaves no empty key behind.
 */
export function createSecret(path: string, text: string): boolean {
  const draft = `${path}.${toBase64url(randomBytes(9))}.new`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    if (HAS_MODES) fchmodSync(file, 0o600);
    writeSync(file, `${text}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  try {
    // A link fails where the name is taken, as O_EXCL does; a rename would replace it.
    linkSync(draft, path);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    unlinkSync(draft);
  }
  syncFolder(dirname(path));
  return true;
}

/** Puts one secret file in the place of another, whole: at each moment one of the two is there. */
export function replaceSecret(draft: string, path: string): void {
  renameSync(draft, path);
  syncFolder(dirname(path));
}

/** Takes a secret file away, where there is one. */
export function removeSecret(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

function syncFolder(path: string): void {
  if (!HAS_MODES) return;
  const folder = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
