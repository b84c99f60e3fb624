import { type FSWatcher, realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { ConfigError } from './error.ts';
import { type LoadedConfig, type LoadOptions, loadConfig } from './load.ts';
import { contents, orNull, watchFolder, whenQuiet } from './watch-folder.ts';

export interface WatchOptions extends LoadOptions {
  /** What runs now: its files are watched. */
  readonly current: LoadedConfig;
  /** Called with a whole new configuration, or with why there is none; the one that runs is the caller's to keep. */
  onChange(result: LoadedConfig | ConfigError): void;
}

export interface ConfigWatch {
  close(): void;
}

const QUIET_MS = 50;

/**
 * Loads anew on SIGHUP, and when the bytes of a file of the configuration change. Folders are watched, not files, so
 * that a file replaced by rename (editors, Kubernetes' `..data` link) is still seen.
 */
export function watchConfig(options: WatchOptions): ConfigWatch {
  let files = options.current.files;
  let seen = contents(files);
  const quiet = whenQuiet(QUIET_MS);
  const settle = () =>
    quiet(() => {
      if (contents(files) !== seen) reload();
    });
  let folders = watchFolders(files, settle);

  const reload = () => {
    const read = attempt(options, files);
    for (const folder of folders) folder.close();
    ({ files, seen } = read);
    folders = watchFolders(files, settle);
    settle();
    options.onChange(read.result);
  };

  process.on('SIGHUP', reload);
  // The files may have changed between their first reading and this watch.
  quiet(() => {
    const now = load(options);
    if (now instanceof ConfigError || now.revision !== options.current.revision) reload();
  });
  return {
    close() {
      process.off('SIGHUP', reload);
      quiet.cancel();
      for (const folder of folders) folder.close();
    },
  };
}

interface Read {
  readonly result: LoadedConfig | ConfigError;
  readonly files: readonly string[];
  /** The files' bytes as they were just before the reading: a change during it will show. */
  readonly seen: string;
}

/** Reads until the set of files is the one that was looked at before (a new routes file is another set). */
function attempt(options: LoadOptions, known: readonly string[], tries = 3): Read {
  const seen = contents(known);
  const result = load(options);
  const { files } = result;
  if (tries > 0 && files.join('\0') !== known.join('\0')) return attempt(options, files, tries - 1);
  return { result, files, seen };
}

function load(options: LoadOptions): LoadedConfig | ConfigError {
  try {
    return loadConfig(options);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}

function watchFolders(files: readonly string[], changed: () => void): FSWatcher[] {
  const real = files.map((file) => orNull(() => realpathSync(file)) ?? file);
  const names = new Set([...files, ...real].map((file) => basename(file)));
  const onEvent = (name: string | null) => {
    if (name === null || name.startsWith('..') || names.has(name)) changed();
  };
  // Without its folder a file is watched no more; SIGHUP is left.
  return [...new Set([...files, ...real].map((file) => dirname(file)))].flatMap(
    (folder) => watchFolder(folder, onEvent) ?? [],
  );
}
