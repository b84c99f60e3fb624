import { dirname } from 'node:path';
import type { Command } from 'commander';
import { randomBytes } from '#runtime';
import { readCredential } from '../client/credential.ts';
import { LemmaClientError } from '../client/errors.ts';
import { keyFromSeed } from '../client/key.ts';
import { type Narrowed, narrowToRun } from '../client/run.ts';
import { timeText } from '../server/time.ts';
import { type Call, collect, countOption, listOption, type Result, textOption } from './command.ts';
import { CliError, misuse } from './exit.ts';
import { openRuntime, runtimeFiles, writeRuntime } from './local/runtime-files.ts';
import { timeOf } from './proof-file.ts';

export function define(command: Command): void {
  command
    .requiredOption('--run-id <id>', 'What the run is called in the log')
    .requiredOption('--operations <count>', 'How many requests it may make')
    .option('--scope <scope>', "Some of the runtime's; again for more (default: all)", collect)
    .option('--audience <origin>', "Some of the runtime's; again for more (default: all)", collect)
    .option('--ttl <seconds>', 'How long it lives, at most 900 (default: 300)')
    .option(
      '--runtime-id <id>',
      'Whose run it is (default: LEMMA_PROOF_FILE, LEMMA_RUNTIME_ID, the only one there is)',
    )
    .option(
      '--data <folder>',
      'Folder with its proof and key (default: ./.lemma where it is, else ~/.lemma)',
    );
}

/** A run's proof below the runtime's, signed with its key here: for one job, with its own key and budget. */
export async function run(call: Call): Promise<Result> {
  const { files: runtime, proof, seed } = await openRuntime(call);
  if (seed === null)
    throw new CliError('key_missing', `${runtime.key}: no such file: a run is signed with it`);

  const run_id = textOption(call.options, 'runId') ?? '';
  const runSeed = randomBytes(32);
  const { credential } = await narrowed(call, proof.credential, seed, run_id, runSeed);
  const files = runtimeFiles(dirname(runtime.proof), `${runtime.runtime}.${run_id}`);
  await writeRuntime(files, { seed: runSeed, credential, passphrase: null });
  const expires_at = timeText(credential.expires_at * 1000);
  return {
    data: { run_id, scope: credential.scope, audience: credential.audience, expires_at, files },
    lines: [
      `Run ${run_id} may act until ${expires_at}`,
      `  scope     ${credential.scope.join(' ') || '(none)'}`,
      `  audience  ${credential.audience.join(' ')}`,
      `  proof     ${files.proof}`,
      `  key       ${files.key}`,
    ],
  };
}

async function narrowed(
  call: Call,
  credential: unknown,
  seed: Uint8Array,
  run_id: string,
  runSeed: Uint8Array,
): Promise<Narrowed> {
  const operations = countOption(call.options, 'operations', '--operations');
  const ttl_s = countOption(call.options, 'ttl', '--ttl');
  const scope = listOption(call.options, 'scope');
  const audience = listOption(call.options, 'audience');
  const own = { credential: readCredential(credential), key: await keyFromSeed(seed) };
  const wishes = {
    run_id,
    operations: operations ?? 0,
    key: await keyFromSeed(runSeed),
    ...(ttl_s === undefined ? {} : { ttl_s }),
    ...(scope.length === 0 ? {} : { scope }),
    ...(audience.length === 0 ? {} : { audience }),
  };
  try {
    return await narrowToRun(own, wishes, timeOf(undefined));
  } catch (error) {
    if (!(error instanceof LemmaClientError)) throw error;
    if (error.code === 'options_invalid') throw misuse(error.message);
    throw new CliError(error.code, error.message);
  }
}
