import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { Store } from '../store/store.ts';
import { type Bundle, loadBundle, UNPACKED_LIMIT } from './bundle.ts';
import type { BundleArchive } from './registry.ts';
import { readTar, writeTar } from './tar.ts';

const pack = promisify(gzip);
const unpack = promisify(gunzip);

/**
 * Keeps every bundle that was ever active in the store, so that explain finds past revisions after a restart. What takes
 * long with a large one is done beside the event loop. The one that was read last is kept: explain asks for it three times.
 *
 * @param kept digests of those that the store has: they are not packed and sent again at every start
 */
export function storeArchive(
  store: Pick<Store, 'putBundle' | 'getBundle'>,
  kept: Iterable<string> = [],
): BundleArchive {
  const stored = new Set(kept);
  let last: { readonly sha256: string; readonly bundle: Promise<Bundle | null> } | null = null;
  const read = async (sha256: string): Promise<Bundle | null> => {
    const stored = await store.getBundle(sha256);
    if (stored === null) return null;
    const tar = await unpack(stored.files, { maxOutputLength: UNPACKED_LIMIT });
    return loadBundle(new Map(readTar(tar)));
  };
  return {
    async put({ sha256, name, revision, serial, files }) {
      if (stored.has(sha256)) return;
      await store.putBundle({ sha256, name, revision, serial, files: await pack(writeTar(files)) });
      stored.add(sha256);
    },
    async get(sha256) {
      if (last?.sha256 === sha256) return last.bundle;
      const bundle = read(sha256);
      last = { sha256, bundle };
      const found = await bundle.catch(() => null);
      if (found === null && last.bundle === bundle) last = null;
      return bundle;
    },
  };
}
