import type { Command } from 'commander';
import { publicJwk } from '../authority/keys.ts';
import { signBundle } from '../policy/signature.ts';
import { type Call, countOption, type Result, textOption } from './command.ts';
import { misuse } from './exit.ts';
import { readBundles, readRegoOnly, writeRegoOnly, writeSignature } from './policy-bundle-files.ts';
import { explained } from './policy-errors.ts';
import { readSeed } from './policy-keys.ts';
import { defineOpaSigning, type OpaSigner, opaSigner } from './policy-opa-signer.ts';

export function define(command: Command): void {
  command
    .argument('<bundle>', 'A bundle (folder or tar.gz), or a folder of bundles')
    .option('--key <file>', 'Ed25519 seed, as in .lemma/keys/bundle.key (mode 0600)')
    .option('--expires-at <seconds>', 'Seconds since 1970; from then on it cannot be activated');
  defineOpaSigning(command);
}

/** Signs what is there; a signature that stands there is replaced. */
export function run(call: Call): Promise<Result> {
  return explained(async () => {
    const [path = ''] = call.args;
    const expiresAt = countOption(call.options, 'expiresAt', '--expires-at');
    const key = textOption(call.options, 'key');
    const signer = opaSigner(call);
    if ((key === undefined) === (signer === null))
      throw misuse('give --key for the service, or --opa-key for a Rego-only bundle');
    if (signer === null) return signForService(call, path, key ?? '', expiresAt);
    if (expiresAt === undefined) return signRegoOnly(call, path, signer);
    throw misuse("--expires-at is of the service's signature: OPA's has no end");
  });
}

async function signForService(
  call: Call,
  path: string,
  keyFile: string,
  expiresAt: number | undefined,
): Promise<Result> {
  const seed = readSeed(call, keyFile);
  const found = await readBundles(call.folder, path);
  for (const file of found) await writeSignature(file, signBundle(file.bundle, seed, expiresAt));
  const key = publicJwk(seed);
  const bundles = found.map(({ path: at, bundle }) => ({
    path: at,
    name: bundle.name,
    revision: bundle.revision,
    sha256: bundle.sha256,
  }));
  return {
    data: { bundles, signed_by: key },
    lines: [
      ...bundles.map(({ revision, path: at }) => `${revision} signed in ${at}`),
      `Public key, for bundles.keys: ${JSON.stringify(key)}`,
    ],
  };
}

async function signRegoOnly(call: Call, path: string, signer: OpaSigner): Promise<Result> {
  const found = readRegoOnly(call.folder, path);
  for (const file of found) await writeRegoOnly({ ...file, bundle: signer.sign(file.bundle) });
  const bundles = found.map(({ path: at, bundle: { name, revision } }) => ({ path: at, name, revision }));
  return {
    data: { bundles, signed_by: signer.claims },
    lines: [...bundles.map(({ revision, path: at }) => `${revision} signed for OPA in ${at}`), signer.advice],
  };
}
