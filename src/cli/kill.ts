import type { Command } from 'commander';
import { type Call, type Result, textOption } from './command.ts';
import { cell, controlApi, defineControlOptions } from './control-api.ts';
import { misuse } from './exit.ts';
import { defineReason, reasonOf } from './reason.ts';
import { askVerb, durableNote } from './runtime-verb.ts';

export function define(command: Command): void {
  command.argument('[runtime-id]', 'The runtime');
  command.option('--ppid <subject>', 'Instead: all below this delegator (did:lemma:ppid_…), for ever');
  command.option('--delegation <lemma-id>', 'Instead: all below this delegation');
  command.option('--key <key>', 'Instead: all that this key, or its thumbprint, signs or holds');
  defineReason(command);
  defineControlOptions(command);
}

/** From the answer on, no node lets the runtime through; where one has not confirmed it, the answer says until when. */
export async function run(call: Call): Promise<Result> {
  const [runtime] = call.args;
  const below = belowOf(call);
  if ((runtime === undefined) === (below === null))
    throw misuse('name a runtime, or what it is below: --ppid, --delegation or --key');
  return below === null ? killOne(call, runtime ?? '') : killBelow(call, below);
}

async function killOne(call: Call, runtime: string): Promise<Result> {
  const answer = await askVerb(call, 'kill');
  const enforced =
    answer.enforced === true
      ? `${runtime} is killed: everything it asks for is denied (event ${cell(answer.seq)})`
      : `${runtime} is killed; not every node has confirmed it: enforced by ${cell(answer.enforced_by)} at the latest`;
  return { data: answer, lines: [enforced] };
}

function belowOf({ options }: Call): Record<string, string> | null {
  const named = {
    subject: textOption(options, 'ppid'),
    lemma_id: textOption(options, 'delegation'),
    key: textOption(options, 'key'),
  };
  const given = Object.entries(named).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.length === 0 ? null : Object.fromEntries(given);
}

async function killBelow(call: Call, below: Record<string, string>): Promise<Result> {
  const body = { ...below, ...reasonOf(call) };
  const { success: _, ...answer } = await controlApi(call).post('/api/wallet/runtimes/kill', body);
  const runtimes = Array.isArray(answer.runtimes) ? answer.runtimes : [];
  return {
    data: answer,
    lines: [
      `Killed: everything below ${Object.values(below).join(', ')}${durableNote(answer.durable)}`,
      ...runtimes.map((runtime) => `  ${cell(runtime)}`),
    ],
  };
}
