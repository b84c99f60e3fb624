import { resolve } from 'node:path';
import type { Command } from 'commander';
import { publicJwk } from '../authority/keys.ts';
import { makeFolder } from '../config/make-folder.ts';
import type { Bundle } from '../policy/bundle.ts';
import { compileEngine } from '../policy/engine.ts';
import { review } from '../policy/lint.ts';
import { makeBundle } from '../policy/make.ts';
import { type RegoOnly, regoOnly } from '../policy/rego-only.ts';
import { signBundle } from '../policy/signature.ts';
import { writeBundles } from '../policy/write-bundle.ts';
import { PROFILES } from '../schema/common.ts';
import { type Call, countOption, type Result, textOption } from './command.ts';
import { misuse } from './exit.ts';
import { regoOnlyPath, writeRegoOnly } from './policy-bundle-files.ts';
import { withCompiler } from './policy-errors.ts';
import { readPolicies } from './policy-folder.ts';
import { readSeed } from './policy-keys.ts';
import { defineOpaSigning, type OpaSigner, opaSigner } from './policy-opa-signer.ts';

export function define(command: Command): void {
  command
    .argument('[path]', "Folder of policies (default: ./policies, else the package's own)")
    .requiredOption('-o, --out <dir>', 'Folder for the bundles, one below it per profile (bundles.source)')
    .option('--sign-key <file>', 'Sign with this Ed25519 seed, as in .lemma/keys/bundle.key')
    .option('--rego-only', 'For stock OPA: Rego and data without WASM, as <dir>/<profile>.tar.gz')
    .option('--serial <n>', "Serial instead of the manifests' own; must be over that of what runs");
  defineOpaSigning(command);
}

/** Bundles as `lemma serve` takes them: all of them or, when one is wrong, none. */
export function run(call: Call): Promise<Result> {
  return withCompiler(async (compiler) => {
    const serial = countOption(call.options, 'serial', '--serial');
    if (serial === 0) throw misuse('--serial counts from 1');
    const keyFile = textOption(call.options, 'signKey');
    const plain = call.options.regoOnly === true;
    if (plain && keyFile !== undefined) throw misuse('--sign-key is for the service; OPA takes --opa-key');
    const seed = keyFile === undefined ? null : readSeed(call, keyFile);
    const signer = opaSigner(call);
    if (signer !== null && !plain) throw misuse('--opa-key signs what OPA takes: add --rego-only');
    const policies = await readPolicies(call, call.args[0]);
    policies.resultOf(await review(compiler, policies));

    const bundles: Bundle[] = [];
    for (const profile of policies.profiles) {
      const bundle = await makeBundle(compiler, policies.root, profile, serial);
      // What the service would refuse to load is refused here, before it is written.
      await compileEngine(bundle, { spare: false });
      bundles.push(seed === null ? bundle : signBundle(bundle, seed));
    }
    const out = resolve(call.folder, textOption(call.options, 'out') ?? '');
    if (plain) return writePlain(out, bundles.map(regoOnly), signer);
    await writeBundles(out, bundles);
    return resultOf(call, out, bundles, seed);
  });
}

async function writePlain(
  out: string,
  plain: readonly RegoOnly[],
  signer: OpaSigner | null,
): Promise<Result> {
  makeFolder(out);
  const written = plain.map((bundle) => ({
    path: regoOnlyPath(out, bundle.name),
    bundle: signer === null ? bundle : signer.sign(bundle),
  }));
  for (const file of written) await writeRegoOnly(file);
  const bundles = written.map(({ path, bundle: { name, revision } }) => ({ path, name, revision }));
  return {
    data: { out, bundles, signed_by: signer?.claims ?? null },
    lines: [
      ...bundles.map(({ path, revision }) => `${revision}  ${path}`),
      signer?.advice ?? 'Not signed: OPA verifies nothing of it',
    ],
  };
}

function resultOf(
  { program }: Call,
  out: string,
  bundles: readonly Bundle[],
  seed: Uint8Array | null,
): Result {
  const key = seed === null ? null : publicJwk(seed);
  const missing = PROFILES.filter((profile) => !bundles.some(({ name }) => name === profile));
  return {
    data: {
      out,
      bundles: bundles.map(({ name, revision, serial, sha256 }) => ({ name, revision, serial, sha256 })),
      signed_by: key,
    },
    lines: [
      ...bundles.map(({ revision, serial, sha256 }) => `${revision}  serial ${serial}  ${sha256}`),
      ...(missing.length === 0 ? [] : [`The service needs ${missing.join(' and ')} there too`]),
      key === null
        ? `Not signed: the service takes them from ${out} after \`${program} policy sign\``
        : `Signed; bundles.source: ${out}, bundles.keys: [${JSON.stringify(key)}]`,
    ],
  };
}
