import type { Command } from 'commander';
import { publicJwk } from '../authority/keys.ts';
import { signBundle } from '../policy/signature.ts';
import { type Call, countOption, type Result, textOption } from './command.ts';
import { readBundles, writeSignature } from './policy-bundle-files.ts';
import { explained } from './policy-errors.ts';
import { readSeed } from './policy-keys.ts';

export function define(command: Command): void {
  command
    .argument('<bundle>', 'A bundle (folder or tar.gz), or a folder of bundles')
    .requiredOption('--key <file>', 'Ed25519 seed, as in .lemma/keys/bundle.key (mode 0600)')
    .option('--expires-at <seconds>', 'Seconds since 1970; from then on it cannot be activated');
}

/** Signs what is there; a signature that stands there is replaced. */
export function run(call: Call): Promise<Result> {
  return explained(async () => {
    const [path = ''] = call.args;
    const expiresAt = countOption(call.options, 'expiresAt', '--expires-at');
    const seed = readSeed(call, textOption(call.options, 'key') ?? '');
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
  });
}
