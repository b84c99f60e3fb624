import type { Command } from 'commander';
import { verifyBundle } from '../policy/signature.ts';
import { type Call, collect, listOption, type Result } from './command.ts';
import { readBundles } from './policy-bundle-files.ts';
import { explained } from './policy-errors.ts';
import { publicKeys } from './policy-keys.ts';

export function define(command: Command): void {
  command
    .argument('<bundle>', 'A bundle (folder or tar.gz), or a folder of bundles')
    .requiredOption(
      '--key <key>',
      'Trusted public key: base64url, JWK, or file of a JWK (repeatable)',
      collect,
    );
}

/** Whether the service would believe it: each one signed by one of the keys, untouched, not expired. */
export function run(call: Call): Promise<Result> {
  return explained(async () => {
    const [path = ''] = call.args;
    const keys = publicKeys(call, listOption(call.options, 'key'));
    const now = Math.floor(Date.now() / 1000);
    const found = await readBundles(call.folder, path);
    const bundles = found.map(({ path: at, bundle }) => {
      const { keyid, name, revision, serial, sha256, expires_at } = verifyBundle(bundle, keys, now);
      return { path: at, name, revision, serial, sha256, keyid, expires_at: expires_at ?? null };
    });
    return {
      data: { bundles },
      lines: bundles.map(
        ({ revision, serial, keyid }) => `${revision}  serial ${serial}  signed by ${keyid}`,
      ),
    };
  });
}
