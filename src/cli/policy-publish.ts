import { gzipSync } from 'node:zlib';
import type { Command } from 'commander';
import { writeTar } from '../policy/tar.ts';
import { type Call, type Result, textOption } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { readBundles } from './policy-bundle-files.ts';
import { explained } from './policy-errors.ts';

export function define(command: Command): void {
  command.argument('<bundle>', 'A signed bundle (folder or tar.gz), or a folder of bundles');
  command.option('--activate', 'Put them into force at once, all of them or none');
  command.option('--reason <text>', 'Why, for the log');
  defineControlOptions(command);
}

/** Hands signed bundles to the control plane, which keeps them. */
export function run(call: Call): Promise<Result> {
  return explained(async () => {
    const found = await readBundles(call.folder, call.args[0] ?? '');
    const reason = textOption(call.options, 'reason');
    const why = reason === undefined ? {} : { reason };
    const api = controlApi(call);
    const published: unknown[] = [];
    for (const { bundle } of found) {
      const bundle_base64 = gzipSync(writeTar(bundle.files)).toString('base64');
      published.push((await api.post('/api/wallet/policies/publish', { bundle_base64, ...why })).bundle);
    }
    const activated = call.options.activate === true;
    const digests = found.map(({ bundle }) => bundle.sha256);
    if (activated) await api.post('/api/wallet/policies/activate', { bundles: digests, ...why });
    const lines = found.map(
      ({ bundle: { revision, serial, sha256 } }) => `${revision}  serial ${serial}  ${sha256}`,
    );
    return {
      data: { bundles: published, activated },
      lines: [
        ...lines,
        activated ? 'In force' : `Kept; in force after: ${call.program} policy activate ${digests.join(' ')}`,
      ],
    };
  });
}
