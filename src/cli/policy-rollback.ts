import type { Command } from 'commander';
import { type Call, type Result, textOption } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { digestOf } from './policy-revision.ts';
import { defineReason, reasonOf } from './reason.ts';

export function define(command: Command): void {
  command.argument('<profile>', 'low, high or critical');
  command.option(
    '--to <bundle>',
    'Digest or revision (default: the one of the next lower serial that was in force)',
  );
  defineReason(command);
  defineControlOptions(command);
}

/** An earlier bundle comes into force, on purpose: what it replaces does not come back by itself. */
export async function run(call: Call): Promise<Result> {
  const api = controlApi(call);
  const [profile = ''] = call.args;
  const to = textOption(call.options, 'to');
  const { bundle } = await api.post('/api/wallet/policies/rollback', {
    profile,
    ...(to === undefined ? {} : { to: await digestOf(api, to) }),
    ...reasonOf(call),
  });
  return { data: { bundle }, lines: [`Policy ${profile} is back at ${cell(member(bundle, 'revision'))}`] };
}
