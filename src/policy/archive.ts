import { gunzipSync, gzipSync } from 'node:zlib';
import type { Store } from '../store/store.ts';
import { bundleOf } from './bundle.ts';
import type { BundleArchive } from './registry.ts';
import { readTar, writeTar } from './tar.ts';

/** Keeps every bundle that was ever active in the store, so that explain finds past revisions after a restart. */
export function storeArchive(store: Pick<Store, 'putBundle' | 'getBundle'>): BundleArchive {
  return {
    async put({ sha256, name, revision, serial, files }) {
      await store.putBundle({ sha256, name, revision, serial, files: gzipSync(writeTar(files)) });
    },
    async get(sha256) {
      const stored = await store.getBundle(sha256);
      return stored === null ? null : bundleOf(new Map(readTar(gunzipSync(stored.files))));
    },
  };
}
