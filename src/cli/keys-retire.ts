import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { defineReason, reasonOf } from './reason.ts';

export function define(command: Command): void {
  command.argument('<kid>', 'The key, as `lemma keys list` names it');
  defineReason(command);
  defineControlOptions(command);
}

/** Takes the trust from a key that signs no more, for ever. */
export async function run(call: Call): Promise<Result> {
  const [kid = ''] = call.args;
  const body = { kid, ...reasonOf(call) };
  const answer = await controlApi(call).post('/api/wallet/keys/retire', body);
  const use = cell(member(answer, 'key', 'use'));
  const effect = use === 'authority' ? ': its chains are denied (root_untrusted)' : '';
  return { data: { key: answer.key }, lines: [`${use} key ${kid} is retired${effect}`] };
}
