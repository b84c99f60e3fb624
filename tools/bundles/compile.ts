import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type Bundle, bundleOf, entrypointOf } from '../../src/policy/bundle.ts';
import { bundleDigest } from '../../src/policy/digest.ts';
import { readTar } from '../../src/policy/tar.ts';
import { type BundleMeta, DATA_FILE, MANIFEST_FILE, WASM_FILE } from '../../src/schema/bundle.ts';
import type { Profile } from '../../src/schema/common.ts';
import { policyInputSchema } from '../../src/schema/input.ts';
import { capabilities } from './capabilities.ts';
import type { Opa } from './opa.ts';
import { jsonText, reasonsOf, type Sources } from './sources.ts';

export interface Parts {
  readonly profile: Profile;
  readonly rego: Sources;
  /** Text of `data.json`. */
  readonly data: string;
  readonly meta: Omit<BundleMeta, 'reasons'>;
  /** Test fixtures may call what a bundle may not. */
  readonly anyBuiltin?: boolean;
}

/** Type-checks and compiles a bundle. The same parts give the same bytes, wherever and whenever. */
export async function compileBundle(opa: Opa, parts: Parts): Promise<Bundle> {
  const wasm = await inTemporaryFolder((folder) => compileWasm(opa, parts, folder));
  const files = new Map(
    [...parts.rego, [DATA_FILE, parts.data] as const].map(([path, text]) => [path, bytesOf(text)]),
  );
  files.set(WASM_FILE, wasm);
  const revision = `${parts.profile}-${digestWith(files, manifestText(parts, '')).slice(0, 12)}`;
  return bundleOf(files.set(MANIFEST_FILE, bytesOf(manifestText(parts, revision))));
}

export async function inTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'lemma-bundles-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function writeFiles(
  folder: string,
  files: ReadonlyMap<string, string | Uint8Array>,
): Promise<void> {
  for (const [path, content] of files) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}

/** OPA is run in the folder with relative paths: they end up in the module. */
async function compileWasm(opa: Opa, parts: Parts, folder: string): Promise<Uint8Array> {
  await writeFiles(folder, parts.rego);
  await writeFiles(folder, new Map([['input.schema.json', jsonText(policyInputSchema)]]));
  const limits: string[] = [];
  if (parts.anyBuiltin !== true) {
    await writeFiles(folder, new Map([['capabilities.json', await capabilities(opa, folder)]]));
    limits.push('--capabilities', 'capabilities.json');
    await opa.run(['check', '--strict', '--schema', 'input.schema.json', ...limits, 'lemma'], folder);
  }
  const target = ['-t', 'wasm', '-e', entrypointOf(parts.profile)];
  await opa.run(['build', ...target, ...limits, '-o', 'bundle.tar.gz', 'lemma'], folder);
  const built = new Map(readTar(gunzipSync(await readFile(join(folder, 'bundle.tar.gz')))));
  const wasm = built.get(`/${WASM_FILE}`);
  if (wasm === undefined) throw new Error(`opa build gave no ${WASM_FILE}`);
  return wasm;
}

function manifestText({ profile, meta, rego }: Parts, revision: string): string {
  return jsonText({
    revision,
    roots: [`lemma/${profile}`],
    rego_version: 1,
    wasm: [{ entrypoint: entrypointOf(profile), module: `/${WASM_FILE}` }],
    metadata: { lemma: { ...meta, reasons: reasonsOf(rego) } },
  });
}

function digestWith(files: ReadonlyMap<string, Uint8Array>, manifest: string): string {
  return bundleDigest(new Map([...files, [MANIFEST_FILE, bytesOf(manifest)]]));
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
