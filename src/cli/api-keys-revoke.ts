import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';

export function define(command: Command): void {
  command.argument('<id>', 'As `api-keys list` shows it');
  defineControlOptions(command);
}

export async function run(call: Call): Promise<Result> {
  const [id = ''] = call.args;
  const path = `/api/wallet/api-keys/${encodeURIComponent(id)}/revoke`;
  const { revoked } = await controlApi(call).post(path, {});
  return { data: { revoked }, lines: [`${id} opens nothing any more`] };
}
