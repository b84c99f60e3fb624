import { existsSync, readFileSync, statSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Bundle, bundleOf, fileOf, filesInTar, loadBundle, readBundleDir } from '../policy/bundle.ts';
import { packRegoOnly, type RegoOnly, regoOnlyOf } from '../policy/rego-only.ts';
import { writeTar } from '../policy/tar.ts';
import { MANIFEST_FILE, SIGNATURE_FILE, WASM_FILE } from '../schema/bundle.ts';
import { PROFILES, type Profile } from '../schema/common.ts';
import { CliError, EXIT } from './exit.ts';

/** A bundle where it lies: an unpacked folder, or a tar.gz. */
export interface BundleFile {
  readonly path: string;
  readonly packed: boolean;
  readonly bundle: Bundle;
}

/** A bundle, or those of the profiles in a folder of bundles as `bundles.source` may name it. Throws CliError, InputError. */
export async function readBundles(folder: string, named: string): Promise<BundleFile[]> {
  const path = resolve(folder, named);
  if (!existsSync(path)) throw new CliError('bundle_missing', `${path} is not there`, EXIT.misused);
  if (!statSync(path).isDirectory()) return [{ path, packed: true, bundle: bundleIn(path) }];
  const inner = isBundle(path) ? [] : PROFILES.flatMap((profile) => bundleOfProfile(path, profile));
  return Promise.all((inner.length === 0 ? [path] : inner).map(readBundle));
}

async function readBundle(path: string): Promise<BundleFile> {
  const packed = path.endsWith('.tar.gz');
  return { path, packed, bundle: packed ? bundleIn(path) : await readBundleDir(path) };
}

function bundleOfProfile(folder: string, profile: Profile): string[] {
  const unpacked = join(folder, profile);
  if (isBundle(unpacked)) return [unpacked];
  const packed = `${unpacked}.tar.gz`;
  return existsSync(packed) ? [packed] : [];
}

/** A bundle's Rego-only variant, packed: OPA verifies an unpacked one only under the path that it was signed under. */
export interface RegoOnlyFile {
  readonly path: string;
  readonly bundle: RegoOnly;
}

/** A Rego-only bundle, or those of the profiles in a folder (`low.tar.gz`, …). Throws CliError, InputError. */
export function readRegoOnly(folder: string, named: string): RegoOnlyFile[] {
  return packedIn(folder, named).map((one) => ({
    path: one,
    bundle: regoOnlyOf(filesInTar(readFileSync(one))),
  }));
}

/** What OPA may have signed: with its module, or Rego alone. */
export interface OpaBundleFile {
  readonly path: string;
  readonly plain: Pick<RegoOnly, 'name' | 'revision' | 'files'>;
  /** Null where it has no module. */
  readonly whole: Bundle | null;
}

/** The same of either kind. Throws CliError, InputError. */
export function readOpaSigned(folder: string, named: string): Promise<OpaBundleFile[]> {
  return Promise.all(
    packedIn(folder, named).map(async (path) => {
      const files = filesInTar(readFileSync(path));
      if (!files.has(WASM_FILE)) return { path, plain: regoOnlyOf(files), whole: null };
      const whole = await loadBundle(files);
      return { path, plain: whole, whole };
    }),
  );
}

function packedIn(folder: string, named: string): string[] {
  const path = resolve(folder, named);
  if (!existsSync(path)) throw new CliError('bundle_missing', `${path} is not there`, EXIT.misused);
  const paths = statSync(path).isDirectory()
    ? PROFILES.map((profile) => regoOnlyPath(path, profile)).filter((one) => existsSync(one))
    : [path];
  if (paths.length === 0) {
    const message = `${path} holds no ${PROFILES.map((one) => basename(regoOnlyPath(path, one))).join(', ')}: give what \`policy build --rego-only\` wrote`;
    throw new CliError('bundle_missing', message, EXIT.misused);
  }
  return paths;
}

/** Never half written. */
export function writeRegoOnly({ path, bundle }: RegoOnlyFile): Promise<void> {
  return replace(path, packRegoOnly(bundle));
}

export function regoOnlyPath(folder: string, profile: Profile): string {
  return join(folder, `${profile}.tar.gz`);
}

function bundleIn(path: string): Bundle {
  const files = filesInTar(readFileSync(path));
  if (files.has(WASM_FILE)) return bundleOf(files);
  const message = `${path} holds no ${WASM_FILE}: stock OPA takes such a bundle, the service does not; for OPA's signature give --opa-key`;
  throw new CliError('bundle_rego_only', message, EXIT.misused);
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
