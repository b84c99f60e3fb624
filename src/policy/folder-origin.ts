import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { checkListed, OriginFailed, type PolicyOrigin, type PolicyTree } from './origin.ts';
import { isOfBundles } from './policy-files.ts';

/**
 * A folder of policies, or one that has them in `policies`. A version is what the files hold, by its SHA-256: any may come
 * after any, since whoever writes here says what is to be in force.
 */
export function folderOrigin(folder: string): PolicyOrigin {
  let last: PolicyTree = { id: '', files: new Map() };

  async function read(): Promise<PolicyTree> {
    try {
      return await treeIn(await rootOf(folder));
    } catch (error) {
      if (error instanceof Error && 'syscall' in error) throw new OriginFailed(error.message);
      throw error;
    }
  }

  return {
    async latest() {
      last = await read();
      return last.id;
    },
    follows: async () => true,
    keep: async () => undefined,
    about: async () => ({ author: '', subject: '' }),
    async tree(version) {
      // What was read when it was looked at, whatever is there by now.
      if (version === last.id) return last;
      throw new OriginFailed('the folder has changed since it was looked at');
    },
  };
}

async function rootOf(folder: string): Promise<string> {
  const inner = join(folder, 'policies');
  const found = await stat(inner).catch(() => null);
  return found?.isDirectory() === true ? inner : folder;
}

async function treeIn(root: string): Promise<PolicyTree> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const meant = entries
    .map((entry) => ({
      path: relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/'),
      plain: entry.isFile(),
      folder: entry.isDirectory(),
    }))
    .filter(({ path, folder }) => !folder && isOfBundles(path))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const listed = await Promise.all(
    meant.map(async ({ path, plain }) => ({ path, plain, size: (await lstat(join(root, path))).size })),
  );
  checkListed(listed);
  const files = new Map<string, Uint8Array>();
  const hash = createHash('sha256');
  for (const { path } of listed) {
    const bytes = await readFile(join(root, path));
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
    files.set(path, bytes);
  }
  return { id: hash.digest('hex'), files };
}
