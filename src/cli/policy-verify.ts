import type { Command } from 'commander';
import type { OpaKeyRead } from '../config/opa-keys.ts';
import { compileEngine } from '../policy/engine.ts';
import { verifyForOpa } from '../policy/opa-signature.ts';
import { checkContent } from '../policy/registry.ts';
import { verifyBundle } from '../policy/signature.ts';
import { type Call, collect, listOption, type Result, textOption } from './command.ts';
import { misuse } from './exit.ts';
import { type OpaBundleFile, readBundles, readOpaSigned } from './policy-bundle-files.ts';
import { explained } from './policy-errors.ts';
import { publicKeys, readOpaVerifier } from './policy-keys.ts';

export function define(command: Command): void {
  command
    .argument('<bundle>', 'A bundle (folder or tar.gz), or a folder of bundles')
    .option('--key <key>', 'Trusted public key: base64url, JWK, or file of a JWK (repeatable)', collect)
    .option(
      '--opa-key <file>',
      "Public key in PEM: verifies OPA's signature, and what a bundle of `opa build -t wasm` may not hold",
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
      throw misuse('give --key for what the service trusts, or --opa-key for what OPA signed');
    return opaKey === undefined
      ? verifyForService(call, path, keys)
      : verifyOpaSigned(call, path, { ...readOpaVerifier(call, opaKey), scope });
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

/** For stock OPA, and for the service where there is a module: then it must load, too. */
async function verifyOpaSigned(call: Call, path: string, key: OpaKeyRead): Promise<Result> {
  const found = await readOpaSigned(call.folder, path);
  const bundles = await Promise.all(found.map((file) => verified(file, key)));
  return {
    data: { bundles },
    lines: bundles.map(({ revision, keyid }) => `${revision}  signed for OPA by ${keyid ?? 'this key'}`),
  };
}

async function verified({ path, plain, whole }: OpaBundleFile, key: OpaKeyRead) {
  const { name, revision } = plain;
  const { keyid, scope } = verifyForOpa(plain, key);
  if (whole !== null) {
    checkContent(whole);
    await compileEngine(whole, { spare: false });
  }
  return { path, name, revision, keyid, scope };
}
