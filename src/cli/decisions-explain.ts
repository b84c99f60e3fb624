import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { CliError } from './exit.ts';

export function define(command: Command): void {
  command.argument('<decision-id>', 'The id that came with the answer');
  defineControlOptions(command);
}

/** The record, the policy as it was, and whether the same comes out again. */
export async function run(call: Call): Promise<Result> {
  const [id = ''] = call.args;
  const path = `/api/wallet/runtimes/decisions/${encodeURIComponent(id)}/explain`;
  const { explain } = await controlApi(call).get(path);
  if (typeof explain !== 'object' || explain === null) {
    throw new CliError('answer_invalid', 'the control plane sent no explanation');
  }
  const { stringify } = await import('yaml');
  return { data: { explain }, lines: stringify(explain).trimEnd().split('\n') };
}
