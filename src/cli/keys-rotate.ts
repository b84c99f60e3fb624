import type { Command } from 'commander';
import { KEY_USES, type KeyUse } from '../schema/common.ts';
import type { Call, Result } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { misuse } from './exit.ts';
import { defineReason, reasonOf } from './reason.ts';

export function define(command: Command): void {
  command.argument('<use>', `What the key signs: ${KEY_USES.join(', ')}`);
  defineReason(command);
  defineControlOptions(command);
}

/** What each key's successor changes, and what it does not. */
const AFTER: Readonly<Record<KeyUse, string>> = {
  authority: 'chains of the key before stay valid until they expire, or it is retired',
  checkpoint: 'checkpoints of the key before are verified by it for ever',
  bundle: 'bundles of the key before are accepted until it is retired',
};

/** A new key signs from now on, without a restart. */
export async function run(call: Call): Promise<Result> {
  const [use = ''] = call.args;
  if (!isUse(use)) throw misuse(`there is no key "${use}" to rotate: ${KEY_USES.join(', ')}`);
  const body = { use, ...reasonOf(call) };
  const answer = await controlApi(call).post('/api/wallet/keys/rotate', body);
  const kid = cell(member(answer, 'key', 'kid'));
  return { data: { key: answer.key }, lines: [`${use} key ${kid} signs from now on; ${AFTER[use]}`] };
}

function isUse(text: string): text is KeyUse {
  return KEY_USES.some((use) => use === text);
}
