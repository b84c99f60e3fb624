import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { OpaKeyRead } from '../../src/config/opa-keys.ts';
import { filesInTar } from '../../src/policy/bundle.ts';
import { writeTar } from '../../src/policy/tar.ts';
import type { OpaAlgorithm } from '../../src/schema/bundle.ts';
import type { OpaFolder } from '../support/opa.ts';

/** Bundles that a stock `opa` builds and signs, as those who come from OPA do. */

export const OPA_KEYS: Readonly<
  Record<OpaAlgorithm, { readonly publicKey: KeyObject; readonly privateKey: KeyObject }>
> = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  EdDSA: generateKeyPairSync('ed25519'),
};

export function trusting(
  algorithm: OpaAlgorithm,
  id = 'default',
  scope?: string,
): ReadonlyMap<string, OpaKeyRead> {
  return new Map([[id, { algorithm, key: OPA_KEYS[algorithm].publicKey, scope }]]);
}

export interface StockSource {
  /** By path below the folder that is built; `.manifest` too. */
  readonly files: Readonly<Record<string, string>>;
  readonly entrypoints: readonly string[];
  readonly algorithm?: OpaAlgorithm;
  readonly revision?: string;
  readonly more?: readonly string[];
  /** Of the folder that it is built in; default: another one each time. */
  readonly name?: string;
}

let built = 0;

/** The files of `opa build -t wasm`, signed. Throws with what OPA says. */
export async function buildStock(folder: OpaFolder, source: StockSource): Promise<Map<string, Uint8Array>> {
  const { files, entrypoints, algorithm = 'ES256', revision = 'r1', more = [] } = source;
  const { name = `src-${++built}` } = source;
  await writeAll(join(folder.path, name), files);
  const key = await keyFile(folder, algorithm);
  const args = ['-b', name, '-t', 'wasm', ...entrypoints.flatMap((one) => ['-e', one]), ...more];
  const signing = ['--signing-alg', algorithm, '--signing-key', key, '--revision', revision];
  const { code, said } = await folder.run('build', ...args, ...signing, '-o', `${name}.tar.gz`);
  if (code !== 0) throw new Error(said);
  return new Map(filesInTar(await readFile(join(folder.path, `${name}.tar.gz`))));
}

/** The same files signed anew, by `opa sign`, which names no key: for what `opa build` would not have put there. */
export async function signStock(
  folder: OpaFolder,
  files: ReadonlyMap<string, Uint8Array>,
  algorithm: OpaAlgorithm = 'ES256',
): Promise<Map<string, Uint8Array>> {
  const name = `sign-${++built}`;
  const unsigned = [...files].filter(([path]) => path !== '.signatures.json');
  await mkdir(join(folder.path, name));
  // Of a folder OPA signs the paths from where it stands; of an archive those within.
  await writeFile(join(folder.path, `${name}.tar.gz`), gzipSync(writeTar(new Map(unsigned))));
  const key = await keyFile(folder, algorithm);
  const signing = ['--signing-alg', algorithm, '--signing-key', key, '--output-file-path', name];
  const { code, said } = await folder.run('sign', ...signing, '--bundle', `${name}.tar.gz`);
  if (code !== 0) throw new Error(said);
  const signature = await readFile(join(folder.path, name, '.signatures.json'));
  return new Map([...unsigned, ['.signatures.json', new Uint8Array(signature)]]);
}

async function writeAll(folder: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}

async function keyFile({ path }: OpaFolder, algorithm: OpaAlgorithm): Promise<string> {
  const pem = OPA_KEYS[algorithm].privateKey.export({ format: 'pem', type: 'pkcs8' });
  await writeFile(join(path, `${algorithm}.pem`), pem, { mode: 0o600 });
  return `${algorithm}.pem`;
}
