import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { cell, defineControlOptions } from './control-api.ts';
import { askVerb, eventNote } from './runtime-verb.ts';

export function define(command: Command): void {
  command.argument('<runtime-id>', 'The runtime');
  command.requiredOption('--reason <text>', 'What tainted it; shown to who approves it again');
  defineControlOptions(command);
}

/** Its proofs are stale from now on, until somebody approves it. */
export async function run(call: Call): Promise<Result> {
  const answer = await askVerb(call, 'taint');
  const epoch = cell(answer.taint_epoch);
  return { data: answer, lines: [`${call.args[0]} is tainted: epoch ${epoch}${eventNote(answer)}`] };
}
