import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { defineControlOptions } from './control-api.ts';
import { defineReason } from './reason.ts';
import { askVerb, eventNote } from './runtime-verb.ts';

export function define(command: Command): void {
  command.argument('<runtime-id>', 'The runtime');
  defineReason(command);
  defineControlOptions(command);
}

/** Everything it asks for is denied (`runtime_inactive`) until it is resumed. */
export async function run(call: Call): Promise<Result> {
  const answer = await askVerb(call, 'contain');
  return { data: answer, lines: [`${call.args[0]} is contained until it is resumed${eventNote(answer)}`] };
}
