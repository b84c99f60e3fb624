import type { Command } from 'commander';
import { verifyForOpa } from '../policy/opa-signature.ts';
import { verifyBundle } from '../policy/signature.ts';
import { type Call, collect, listOption, type Result, textOption } from './command.ts';
import { misuse } from './exit.ts';
import { readBundles, readRegoOnly } from './policy-bundle-files.ts';
import { explained } from './policy-errors.ts';
import { publicKeys, readOpaPublicKey } from './policy-keys.ts';

export function define(command: Command): void {
  command
    .argument('<bundle>', 'A bundle (folder or tar.gz), or a folder of bundles')
    .option('--key <key>', 'Trusted public key: base64url, JWK, or file of a JWK (repeatable)', collect)
    .option(
      '--opa-key <file>',
      "P-256 public key in PEM: verifies a Rego-only bundle's signature, as OPA does",
    )
    .option('--opa-scope <scope>', 'The scope that OPA would ask for (default: none)');
}

/** Whether the service, or with `--opa-key` stock OPA, would believe it. */
export function run(call: Call): Promise<Result> {
  return explained(async () => {
    const [path = ''] = call.args;
    const keys = publicKeys(call, listOption(call.options, 'key'));
    const opaKey = textOption(call.options, 'opaKey');
    const scope = textOption(call.options, 'opaScope');
    if (scope !== undefined && opaKey === undefined) throw misuse('--opa-scope goes with --opa-key');
    if ((keys.length === 0) === (opaKey === undefined))
      throw misuse('give --key for what the service trusts, or --opa-key for a Rego-only bundle');
    return opaKey === undefined
      ? verifyForService(call, path, keys)
      : verifyRegoOnly(call, path, opaKey, scope);
  });
}

/** Each one signed by one of the keys, untouched, not expired. */
async function verifyForService(call: Call, path: string, keys: readonly Uint8Array[]): Promise<Result> {
  const now = Math.floor(Date.now() / 1000);
  const found = await readBundles(call.folder, path);
  const bundles = found.map(({ path: at, bundle }) => {
    const { keyid, name, revision, serial, sha256, expires_at } = verifyBundle(bundle, keys, now);
    return { path: at, name, revision, serial, sha256, keyid, expires_at: expires_at ?? null };
  });
  return {
    data: { bundles },
    lines: bundles.map(({ revision, serial, keyid }) => `${revision}  serial ${serial}  signed by ${keyid}`),
  };
}

function verifyRegoOnly(call: Call, path: string, keyFile: string, wanted: string | undefined): Result {
  const key = readOpaPublicKey(call, keyFile);
  const bundles = readRegoOnly(call.folder, path).map(({ path: at, bundle }) => {
    const { keyid, scope } = verifyForOpa(bundle, key, wanted);
    return { path: at, name: bundle.name, revision: bundle.revision, keyid, scope };
  });
  return {
    data: { bundles },
    lines: bundles.map(({ revision, keyid }) => `${revision}  signed for OPA by ${keyid ?? 'this key'}`),
  };
}
