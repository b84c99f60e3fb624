import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { explanationLines, explanationOf } from './explanation.ts';

export function define(command: Command): void {
  command.argument('<decision-id>', 'The id that came with the answer');
  defineControlOptions(command);
}

/** The record, the policy as it was, and whether the same comes out again. */
export async function run(call: Call): Promise<Result> {
  const [id = ''] = call.args;
  const explanation = await explanationOf(controlApi(call), id);
  return { data: { explanation }, lines: explanationLines(call, explanation) };
}
