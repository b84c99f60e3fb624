import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { signingKeysOf } from './signing-keys.ts';
import { table } from './terminal.ts';

export function define(command: Command): void {
  defineControlOptions(command);
}

/** Every key that signs, or signed, for this deployment: public halves. */
export async function run(call: Call): Promise<Result> {
  const keys = signingKeysOf(await controlApi(call).get('/api/wallet/keys'));
  const rows = keys.map(({ use, status, kid, since, until }) => [use, status, kid, since, until ?? '']);
  const heading = call.terminal.interactive ? [['use', 'status', 'kid', 'since', 'until']] : [];
  return { data: { keys }, lines: table([...heading, ...rows], call.terminal.interactive) };
}
