import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { PROFILES } from '../schema/common.ts';

export interface BundleWatch {
  /** Watches another `bundles.source` from now on; the same again changes nothing. */
  follow(source: string): void;
  close(): void;
}

/** Of bundles, and of policies that are built here; these may be in a folder `policies`. */
const FOLDERS = [...PROFILES, 'lib'];

/** `lemma policy build` exchanges its three bundles within a millisecond; a copy by other means takes longer. */
const QUIET_MS = 250;

/**
 * Calls once a folder of bundles has changed and has been quiet since, so that bundles written one after the other are
 * one change; and once for each folder that it begins with, which may have changed after it was last read. What it holds
 * is for the called to read: half of a copy is no bundle, and the rest of it is another change. `embedded` never changes.
 */
export function watchBundles(first: string, onChange: () => void): BundleWatch {
  let source = first;
  let quiet: NodeJS.Timeout | undefined;
  let watchers: FSWatcher[] = [];

  const settle = () => {
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      // Folders that were put in the place of others have no watch yet. It begins before they are read.
      unwatch();
      watchers = watchersOf(source, settle);
      onChange();
    }, QUIET_MS);
  };
  const unwatch = () => {
    for (const watcher of watchers.splice(0)) watcher.close();
  };
  const begin = () => {
    clearTimeout(quiet);
    unwatch();
    if (source === 'embedded') return;
    watchers = watchersOf(source, settle);
    settle();
  };

  begin();
  return {
    follow(next) {
      if (next === source) return;
      source = next;
      begin();
    },
    close() {
      clearTimeout(quiet);
      unwatch();
    },
  };
}

/** The folder, those within it, and its own name where it stands: a link that is turned to another release. */
function watchersOf(source: string, changed: () => void): FSWatcher[] {
  const own = (_event: string, name: string | null) => {
    if (name === null || name === basename(source)) changed();
  };
  return [
    ...watcherOf(dirname(source), own),
    ...['.', ...FOLDERS, 'policies', ...FOLDERS.map((folder) => join('policies', folder))].flatMap((folder) =>
      watcherOf(join(source, folder), changed),
    ),
  ];
}

function watcherOf(folder: string, onEvent: (event: string, name: string | null) => void): FSWatcher[] {
  try {
    const watcher = watch(folder, { persistent: false }, onEvent);
    // A folder that goes away ends its watch; the one above it tells.
    watcher.on('error', () => watcher.close());
    return [watcher];
  } catch {
    return [];
  }
}
