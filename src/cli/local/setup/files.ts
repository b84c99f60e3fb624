import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { makeFolder } from '../../../config/make-folder.ts';
import { diffLines } from '../../../policy/diff-lines.ts';
import { CliError } from '../../exit.ts';
import { readJournal, writeJournal } from '../state.ts';
import { EditError } from './edit.ts';
import { Json5Error } from './json5.ts';

/** A change of somebody else's file. `before` null: there is none. */
export interface FileChange {
  /** Absolute, of the file itself: a link is followed, for it is meant to stay. */
  readonly path: string;
  readonly before: string | null;
  readonly after: string;
}

const LARGEST = 8 * 1024 * 1024;

/** What the edits make of a file; `empty` is what they begin with where there is none. Throws CliError `config_unreadable`. */
export function planChange(named: string, empty: string, edit: (text: string) => string): FileChange {
  const path = existsSync(named) ? realpathSync(named) : named;
  const before = readText(path);
  try {
    return { path, before, after: edit(before ?? empty) };
  } catch (error) {
    if (error instanceof Json5Error)
      throw unreadable(`${path}:${error.line}:${error.column}: ${error.message}: mend the file first`);
    if (error instanceof EditError)
      throw unreadable(`${path}: ${error.message}: it is not what its program reads; mend it first`);
    throw error;
  }
}

export function isChange({ before, after }: FileChange): boolean {
  return before !== after;
}

/** A unified diff, for a person. */
export function diffOf({ path, before, after }: FileChange): string[] {
  const lines = diffLines(before ?? '', after);
  return lines.length === 0 ? [] : [`--- ${before === null ? '/dev/null' : path}`, `+++ ${path}`, ...lines];
}

function readText(path: string): string | null {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return null;
  if (!stats.isFile() || stats.size > LARGEST) throw unreadable(`${path}: is no file of a usual size`);
  try {
    // A byte order mark is a part of the file, and stays.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(path));
  } catch (error) {
    throw unreadable(`${path}: cannot be read as UTF-8 (${error instanceof Error ? error.message : error})`);
  }
}

function unreadable(message: string): CliError {
  return new CliError('config_unreadable', message);
}

export interface Applied {
  readonly path: string;
  /** The file as it was; null: there was none. */
  readonly backup: string | null;
}

/**
 * Writes the changes of a setup command, each file whole, with a backup beside it and a note of how to undo it, which is
 * there before the file is. Throws CliError `config_changed` for one that somebody else wrote to meanwhile.
 */
export function applyChanges(home: string, name: string, changes: readonly FileChange[]): Applied[] {
  return changes.filter(isChange).map((change) => {
    const { path, before, after } = change;
    const others = journalled(home, name).filter((entry) => entry.path !== path);
    const known = journalled(home, name).find((entry) => entry.path === path);
    // A second change to our own goes back to what was before the first.
    const first = known !== undefined && before !== null && known.after === digestOf(before) ? known : null;
    const entry = first ?? {
      path,
      backup: before === null ? null : backUp(path, before),
      before: before === null ? null : digestOf(before),
    };
    writeJournal(home, name, { v: 1, files: [...others, { ...entry, after: digestOf(after) }] });
    replaceText(change);
    return { path, backup: entry.backup };
  });
}

/**
 * Puts the files back byte for byte. One that was changed since is left alone, and nothing is done, unless `force`; throws
 * CliError `config_changed`. Null: there is nothing to undo.
 */
export function undoChanges(home: string, name: string, force: boolean): Applied[] | null {
  const entries = journalled(home, name);
  if (entries.length === 0) return null;
  const now = entries.map((entry) => ({ ...entry, text: readText(entry.path) }));
  const untouched = (one: (typeof now)[number]) =>
    one.text === null ? one.before === null : [one.before, one.after].includes(digestOf(one.text));
  const changed = now.find((one) => !untouched(one));
  if (changed !== undefined && !force)
    throw new CliError(
      'config_changed',
      `${changed.path} was changed since: take out by hand what --dry-run would put in, or give --force, which puts ${
        changed.backup ?? 'no file'
      } in its place`,
      undefined,
      { file: changed.path, backup: changed.backup },
    );
  for (const { path, backup, before, text } of now) {
    if (backup === null) rmSync(path, { force: true });
    else if (text === null || digestOf(text) !== before) putBack(path, backup, text);
    if (backup !== null) rmSync(backup, { force: true });
  }
  writeJournal(home, name, { v: 1, files: [] });
  return entries.map(({ path, backup }) => ({ path, backup }));
}

function putBack(path: string, backup: string, text: string | null): void {
  const before = readText(backup);
  if (before === null)
    throw new CliError('backup_missing', `${backup} is not there: ${path} stays as it is`, undefined, {
      backup,
    });
  replaceText({ path, before: text, after: before }, modeOf(backup));
}

function journalled(home: string, name: string) {
  return readJournal(home, name)?.files ?? [];
}

/** Beside the file and no more open than it; never over another one. */
function backUp(path: string, text: string): string {
  for (let n = 1; ; n++) {
    const backup = `${path}.lemma-backup${n === 1 ? '' : `-${n}`}`;
    if (existsSync(backup)) continue;
    writeNew(backup, text, modeOf(path));
    return backup;
  }
}

/** Files of agents hold keys: a new one is for its user alone. */
function modeOf(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.mode ?? 0o600) & 0o777;
}

function replaceText({ path, before, after }: FileChange, mode = modeOf(path)): void {
  makeFolder(dirname(path));
  const draft = join(dirname(path), `.lemma-${process.pid}-${Date.now()}.draft`);
  writeNew(draft, after, mode);
  if (readText(path) !== before) {
    rmSync(draft);
    throw new CliError('config_changed', `${path} was changed in this very moment: run this again`);
  }
  renameSync(draft, path);
}

function writeNew(path: string, text: string, mode: number): void {
  const file = openSync(path, 'wx', mode);
  try {
    if (process.platform !== 'win32') fchmodSync(file, mode);
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
