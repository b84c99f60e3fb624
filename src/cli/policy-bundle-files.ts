import { existsSync, readFileSync, statSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Bundle, fileOf, readBundleDir, readBundleTar } from '../policy/bundle.ts';
import { writeTar } from '../policy/tar.ts';
import { MANIFEST_FILE, SIGNATURE_FILE } from '../schema/bundle.ts';
import { PROFILES } from '../schema/common.ts';
import { CliError, EXIT } from './exit.ts';

/** A bundle where it lies: an unpacked folder, or a tar.gz. */
export interface BundleFile {
  readonly path: string;
  readonly packed: boolean;
  readonly bundle: Bundle;
}

/** A bundle, or those of the profiles in a folder of bundles (`bundles.source`). Throws CliError, InputError. */
export async function readBundles(folder: string, named: string): Promise<BundleFile[]> {
  const path = resolve(folder, named);
  if (!existsSync(path)) throw new CliError('bundle_missing', `${path} is not there`, EXIT.misused);
  if (!statSync(path).isDirectory())
    return [{ path, packed: true, bundle: readBundleTar(readFileSync(path)) }];
  const inner = PROFILES.map((profile) => join(path, profile)).filter((one) => isBundle(one));
  const paths = isBundle(path) || inner.length === 0 ? [path] : inner;
  return Promise.all(
    paths.map(async (one) => ({ path: one, packed: false, bundle: await readBundleDir(one) })),
  );
}

/** Puts the bundle's signature beside it; nothing else of it may have changed. Never half written. */
export async function writeSignature({ path, packed }: BundleFile, signed: Bundle): Promise<void> {
  if (packed) await replace(path, gzipSync(writeTar(signed.files), { level: 9 }));
  else await replace(join(path, SIGNATURE_FILE), fileOf(signed, SIGNATURE_FILE));
}

function isBundle(path: string): boolean {
  return existsSync(join(path, MANIFEST_FILE));
}

async function replace(path: string, bytes: Uint8Array): Promise<void> {
  const fresh = `${path}.new`;
  await writeFile(fresh, bytes);
  await rename(fresh, path);
}
