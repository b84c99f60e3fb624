import { type FSWatcher, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { contents, orNull, watchFolder, whenQuiet } from './watch-folder.ts';

export interface TreeWatch {
  /** Takes what is there as known. To be called before it is read, so that a change during the reading shows. */
  mark(): void;
  /** Resolves once names or bytes are other than when they were marked, and no more is written. */
  changed(): Promise<void>;
  close(): void;
}

/** Somebody waits for the answer, and half a file does no harm: the rest of it is the next change. */
const QUIET_MS = 25;

/**
 * Files below a folder, and the folders, in whatever way they come, change and go; the folder itself may go and come
 * back. Links are not followed. Keeps the program alive until it is closed.
 */
export function watchTree(root: string, isMeant: (name: string) => boolean): TreeWatch {
  let watchers: FSWatcher[] = [];
  let marked = '';
  let told: (() => void) | undefined;
  const quiet = whenQuiet(QUIET_MS);
  const alive = setInterval(() => undefined, 2 ** 30);

  const onEvent = () =>
    quiet(() => {
      if (told !== undefined && look() !== marked) told();
    });

  function look(tries = 3): string {
    // Watched first and read afterwards: what comes in between is an event.
    const before = treeOf(root);
    watch(before.folders);
    const { folders, files } = treeOf(root);
    if (tries > 0 && folders.join('\0') !== before.folders.join('\0')) return look(tries - 1);
    return `${folders.join('\0')}\n${contents(files.filter((file) => isMeant(basename(file))))}`;
  }

  /** Anew each time: a folder of the same name may be another one. */
  function watch(folders: readonly string[]): void {
    const onRoot = (name: string | null) => {
      if (name === null || name === basename(root)) onEvent();
    };
    const above = watchFolder(dirname(root), onRoot);
    const all = [above, ...folders.map((folder) => watchFolder(folder, onEvent))];
    for (const watcher of watchers) watcher.close();
    watchers = all.filter((watcher) => watcher !== null);
  }

  return {
    mark() {
      marked = look();
    },
    changed: () =>
      new Promise((resolve) => {
        told = resolve;
        // What came since the mark is no longer told.
        onEvent();
      }),
    close() {
      quiet.cancel();
      clearInterval(alive);
      for (const watcher of watchers) watcher.close();
    },
  };
}

interface Tree {
  readonly folders: readonly string[];
  readonly files: readonly string[];
}

/** What vanishes while this looks is not there. */
function treeOf(root: string): Tree {
  const folders: string[] = [];
  const files: string[] = [];
  const visit = (folder: string) => {
    const entries = orNull(() => readdirSync(folder, { withFileTypes: true }));
    if (entries === null) return;
    folders.push(folder);
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (entry.isFile()) files.push(path);
    }
  };
  visit(root);
  return { folders: folders.sort(), files: files.sort() };
}
