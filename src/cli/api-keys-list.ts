import type { Command } from 'commander';
import { columns, everyPage } from './access-lists.ts';
import type { Call, Result } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';

export function define(command: Command): void {
  defineControlOptions(command);
}

/** Without their secrets, which nobody has any more. */
export async function run(call: Call): Promise<Result> {
  const keys = await everyPage(controlApi(call), '/api/wallet/api-keys', 'api_keys');
  const names = ['id', 'prefix', 'name', 'permissions', 'expires_at', 'last_used_at'];
  return { data: { api_keys: keys }, lines: columns(keys, names, call.terminal) };
}
