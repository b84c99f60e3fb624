import type { Command } from 'commander';
import { PERMISSIONS } from '../schema/access.ts';
import { API_KEY_DAYS } from '../schema/api-access.ts';
import { type Call, collect, countOption, listOption, type Result } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';

export function define(command: Command): void {
  command.argument('<name>', 'What it is for');
  command.requiredOption(
    '--permission <permission>',
    `One of your own; may be repeated: ${PERMISSIONS.join(', ')}`,
    collect,
  );
  command.option(
    '--days <n>',
    `Days that it lives, ${API_KEY_DAYS.most} at most (default: ${API_KEY_DAYS.usual})`,
  );
  defineControlOptions(command);
}

/** The key is the only line of the answer, so that it can be piped to where it is kept; the rest is beside it. */
export async function run(call: Call): Promise<Result> {
  const [name = ''] = call.args;
  const days = countOption(call.options, 'days', '--days');
  const body = {
    name,
    permissions: listOption(call.options, 'permission'),
    ...(days === undefined ? {} : { days }),
  };
  const { token, api_key } = await controlApi(call).post('/api/wallet/api-keys', body);
  if (!call.json)
    call.terminal.note(
      `shown once; valid until ${cell(member(api_key, 'expires_at'))}. Send it as X-API-Key`,
    );
  return { data: { token, api_key }, lines: [cell(token)] };
}
