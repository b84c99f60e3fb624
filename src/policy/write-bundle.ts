import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InputError } from '../reason.ts';
import { WASM_FILE } from '../schema/bundle.ts';
import type { Bundle } from './bundle.ts';

/**
 * Puts each bundle, unpacked, into the folder of its name, where another bundle or nothing stands. It is made beside
 * the old one first, so that a reader never finds half of it.
 *
 * @throws InputError, before anything is written: what stands there is no bundle (such as the policies themselves)
 */
export async function writeBundles(out: string, bundles: readonly Bundle[]): Promise<void> {
  for (const { name } of bundles) await refuseOther(join(out, name));
  for (const { name, files } of bundles) await replaceFolder(join(out, name), files);
}

/** Puts the files into the folder, in the place of all that stands there. Never half of it. */
export async function replaceFolder(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const fresh = join(dirname(folder), `.${basename(folder)}.new`);
  await rm(fresh, { recursive: true, force: true });
  await writeFiles(fresh, files);
  await rm(folder, { recursive: true, force: true });
  await rename(fresh, folder);
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
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}
