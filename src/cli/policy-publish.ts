import { gzipSync } from 'node:zlib';
import type { Command } from 'commander';
import { writeTar } from '../policy/tar.ts';
import type { Call, Result } from './command.ts';
import { controlApi, defineControlOptions, member } from './control-api.ts';
import { CliError, EXIT } from './exit.ts';
import { readBundles } from './policy-bundle-files.ts';
import { explained } from './policy-errors.ts';
import { failureLines, tested, testsIn, testsText } from './policy-tested.ts';
import { defineReason, reasonOf } from './reason.ts';

export function define(command: Command): void {
  command.argument('<bundle>', 'A signed bundle (folder or tar.gz), or a folder of bundles');
  command.option(
    '--tests <folder>',
    'Folder of policies whose tests the control plane runs against each of them',
  );
  command.option('--activate', 'Put them into force at once, all of them or none');
  defineReason(command);
  defineControlOptions(command);
}

/**
 * Hands signed bundles to the control plane, which keeps them, and has it test them. Where a test fails they are kept, shown so, and not put
 * into force.
 */
export function run(call: Call): Promise<Result> {
  return explained(async () => {
    const found = await readBundles(call.folder, call.args[0] ?? '');
    const tests = await testsIn(call);
    const why = reasonOf(call);
    const api = controlApi(call);
    const published: object[] = [];
    for (const { bundle } of found) {
      const bundle_base64 = gzipSync(writeTar(bundle.files)).toString('base64');
      const kept = (await api.post('/api/wallet/policies/publish', { bundle_base64, ...why })).bundle;
      const outcome = tests === null ? null : await tested(api, bundle, tests);
      published.push({ ...(kept as object), tests: outcome });
    }
    const failures = published.flatMap((one) => failureLines(member(one, 'tests')));
    if (failures.length > 0) {
      const message = ['tests failed: the bundles are kept, and not put into force', ...failures].join('\n');
      throw new CliError('tests_failed', message, EXIT.failed, { bundles: published, activated: false });
    }
    const activated = call.options.activate === true;
    const digests = found.map(({ bundle }) => bundle.sha256);
    if (activated) await api.post('/api/wallet/policies/activate', { bundles: digests, ...why });
    const lines = found.map(
      ({ bundle: { revision, serial, sha256 } }, n) =>
        `${revision}  serial ${serial}  ${sha256}  tests: ${testsText(member(published[n], 'tests'))}`,
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
