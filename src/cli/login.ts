import { resolve } from 'node:path';
import type { Command } from 'commander';
import { readSecret } from '../authority/secret-file.ts';
import { type Call, type Result, textOption } from './command.ts';
import { CliError, misuse } from './exit.ts';
import { given, openHome } from './local/folder.ts';
import { baseFor, DEFAULT_BASE } from './local/place.ts';
import { describe, sessionShown } from './local/sign-in.ts';
import { writeSession } from './local/state.ts';

export function define(command: Command): void {
  command
    .option('--api-base <url>', `The control plane (default: LEMMA_BASE_URL, else ${DEFAULT_BASE})`)
    .option('--api-key-file <file>', 'File (0600) with the API key (default: LEMMA_API_KEY)');
}

/** For CI, where nobody is there to approve a code: stores an API key as the session, once the control plane knows it. */
export async function run(call: Call): Promise<Result> {
  const token = keyOf(call);
  const base = baseFor(call);
  const home = openHome(call);
  const session = await describe({ kind: 'api_key', base, token, expires_at: null }, call);
  writeSession(home, session);
  return {
    data: sessionShown(session),
    lines: [
      `Signed in at ${base} with an API key of ${session.operator} (${session.org}/${session.env})`,
      `  may       ${session.permissions.join(' ')}`,
    ],
  };
}

/** Never by the command line: other users of the machine can read that. */
function keyOf(call: Call): string {
  const file = textOption(call.options, 'apiKeyFile');
  const fromFile = file === undefined ? null : readSecret(resolve(call.folder, file));
  if (file !== undefined && fromFile === null)
    throw new CliError('api_key_missing', `--api-key-file: no such file: ${file}`);
  const key = (fromFile ?? call.env.LEMMA_API_KEY)?.trim();
  if (!given(key)) throw misuse('no API key: set LEMMA_API_KEY, or name a file with --api-key-file');
  if (!/^[\x21-\x7e]{1,512}$/.test(key))
    throw new CliError('api_key_invalid', `${file ?? 'LEMMA_API_KEY'}: holds no API key`);
  return key;
}
