import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder } from '../config/make-folder.ts';
import { InputError } from '../reason.ts';
import { WASM_FILE } from '../schema/bundle.ts';
import type { Bundle } from './bundle.ts';

/**
 * Puts each bundle, unpacked, into the folder of its name, where another bundle or nothing stands. All of them are made
 * beside the old ones first, then exchanged one right after the other: a reader never finds half of one, and hardly ever
 * some old and some new.
 *
 * @throws InputError, before anything is written: what stands there is no bundle (such as the policies themselves)
 */
export async function writeBundles(out: string, bundles: readonly Bundle[]): Promise<void> {
  for (const { name } of bundles) await refuseOther(join(out, name));
  await replaceFolders(bundles.map(({ name, files }) => ({ folder: join(out, name), files })));
}

interface Folder {
  readonly folder: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Puts the files into each folder, in the place of all that stands there. Never half of one. */
export async function replaceFolders(folders: readonly Folder[]): Promise<void> {
  const places = folders.map(({ folder, files }) => ({ folder, files, ...besides(folder) }));
  for (const { folder, files, fresh, old } of places) {
    // What an earlier run left half done.
    for (const left of [fresh, old]) await rm(left, { recursive: true, force: true });
    await writeFiles(fresh, files);
    makeFolder(folder);
  }
  for (const { folder, fresh, old } of places) {
    await rename(folder, old);
    await rename(fresh, folder);
  }
  for (const { old } of places) await rm(old, { recursive: true, force: true });
}

function besides(folder: string): { fresh: string; old: string } {
  const beside = (end: string) => join(dirname(folder), `.${basename(folder)}.${end}`);
  return { fresh: beside('new'), old: beside('old') };
}

async function refuseOther(folder: string): Promise<void> {
  const names = await readdir(folder).catch((cause: unknown): string[] => {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw cause;
  });
  if (names.length === 0 || names.includes(WASM_FILE)) return;
  const message = `holds something else than a bundle (no ${WASM_FILE}) and would be replaced; give another folder`;
  throw new InputError([{ field: folder, message }]);
}

async function writeFiles(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [path, content] of files) {
    const file = join(folder, path);
    makeFolder(dirname(file));
    await writeFile(file, content);
  }
}
