import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { digestOf } from './policy-revision.ts';
import { shadowed } from './policy-shadow.ts';
import { defineReason, reasonOf } from './reason.ts';

export function define(command: Command): void {
  command.argument('<bundle...>', 'Digests or revisions of published bundles, one a profile at most');
  defineReason(command);
  command.option(
    '--shadow',
    'Only beside the active ones: what they would decide is counted, and no answer changes',
  );
  defineControlOptions(command);
}

/** All of them come into force, or none. */
export async function run(call: Call): Promise<Result> {
  const api = controlApi(call);
  const bundles: string[] = [];
  for (const named of call.args) bundles.push(await digestOf(api, named));
  if (call.options.shadow === true) return shadowed(api, bundles);
  const body = { bundles, ...reasonOf(call) };
  const answer = await api.post('/api/wallet/policies/activate', body);
  const active = Array.isArray(answer.bundles) ? answer.bundles : [];
  return {
    data: { bundles: active },
    lines: active.map(
      (bundle) => `Policy ${cell(member(bundle, 'name'))} is now ${cell(member(bundle, 'revision'))}`,
    ),
  };
}
