import type { Command } from 'commander';
import { columns, everyPage } from './access-lists.ts';
import type { Call, Result } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';

export function define(command: Command): void {
  defineControlOptions(command);
}

export async function run(call: Call): Promise<Result> {
  const operators = await everyPage(controlApi(call), '/api/wallet/operators', 'operators');
  const names = ['id', 'role', 'platform', 'name', 'subject'];
  return { data: { operators }, lines: columns(operators, names, call.terminal) };
}
