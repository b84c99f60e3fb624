import type { Command } from 'commander';
import { type Call, type Result, textOption } from './command.ts';
import { defineControlOptions } from './control-api.ts';
import { misuse } from './exit.ts';
import { defineReason } from './reason.ts';
import { askVerb, eventNote } from './runtime-verb.ts';

export function define(command: Command): void {
  command.argument('<runtime-id>', 'The runtime');
  command.option('--proof <lemma-id>', 'The proof to take back (`lem_…`)');
  command.option('--key <key>', 'Instead: a key, or its thumbprint');
  defineReason(command);
  defineControlOptions(command);
}

/** One proof or one key of a runtime counts no more; the runtime itself goes on with others. */
export async function run(call: Call): Promise<Result> {
  const lemma_id = textOption(call.options, 'proof');
  const key = textOption(call.options, 'key');
  if ((lemma_id === undefined) === (key === undefined))
    throw misuse('name what is revoked: --proof <lemma-id> or --key <key>');
  const answer = await askVerb(call, 'revoke', lemma_id === undefined ? { key } : { lemma_id });
  return { data: answer, lines: [`${lemma_id ?? key} is revoked${eventNote(answer)}`] };
}
