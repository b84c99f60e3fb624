import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { InputError } from '../reason.ts';

/** The system lets no folder be made there. The message names the path, the cause and the mend. */
export class FolderError extends Error {
  override readonly name = 'FolderError';

  constructor(path: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(`${path} cannot be made a folder (${why}): name another, or make this one yourself`, { cause });
  }
}

/**
 * Makes a folder and those above it that are missing; one that is there, or a link to one, stays as it is.
 *
 * Not by Node's `recursive`: where a parent is there and the system still answers ENOENT, as below /proc, that tries for
 * ever (node 26, `MKDirpSync`), and no signal is heard meanwhile.
 *
 * @param mode of each folder that is made, before the umask
 * @throws FolderError
 */
export function makeFolder(path: string, mode = 0o777): void {
  try {
    make(path, mode);
  } catch (error) {
    throw new FolderError(path, error);
  }
}

/** For a folder that a field of the configuration names: a FolderError of `work` becomes an InputError under `field`. */
export function folderOf(field: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw error instanceof FolderError ? new InputError([{ field, message: error.message }]) : error;
  }
}

/** With its parent there (`orphan` false), ENOENT is the system's last word. */
function make(path: string, mode: number, orphan = true): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (isFolder(path)) return;
    const parent = dirname(path);
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (!missing || !orphan || parent === path) throw error;
    make(parent, mode);
    make(path, mode, false);
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
