import { createHash } from 'node:crypto';
import { type FSWatcher, readFileSync, watch } from 'node:fs';

export interface Quiet {
  /** Acts when this has not been asked for a while; the last asker's act is done. */
  (act: () => void): void;
  cancel(): void;
}

/** Writers truncate, write and rename: what they wrote is read once they have been quiet for so long. */
export function whenQuiet(ms: number): Quiet {
  let timer: NodeJS.Timeout | undefined;
  const ask = (act: () => void) => {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  };
  return Object.assign(ask, { cancel: () => clearTimeout(timer) });
}

/** One folder, without those below it, as long as the program runs anyway. Null where there is none; one that goes away ends its watch. */
export function watchFolder(folder: string, onEvent: (name: string | null) => void): FSWatcher | null {
  const watcher = orNull(() => watch(folder, { persistent: false }, (_event, name) => onEvent(name)));
  watcher?.on('error', () => watcher.close());
  return watcher;
}

/** A digest of the files' bytes. A file that is not there counts as such. */
export function contents(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) {
    const bytes = orNull(() => readFileSync(file));
    hash.update(`${file}\0${bytes?.length ?? -1}\0`).update(bytes ?? '');
  }
  return hash.digest('hex');
}

export function orNull<T>(act: () => T): T | null {
  try {
    return act();
  } catch {
    return null;
  }
}
