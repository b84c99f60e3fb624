import type { Command } from 'commander';
import { ROLES } from '../schema/access.ts';
import { type Call, collect, listOption, type Result, textOption } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { misuse } from './exit.ts';

export function define(command: Command): void {
  command.argument('<subject>', 'Their PPID at this site: did:lemma:ppid_…');
  command.requiredOption('--key <key>', 'Their Ed25519 public key for this site; may be repeated', collect);
  command.requiredOption('--role <role>', `What they are: ${ROLES.join(', ')}`);
  command.requiredOption('--name <name>', 'How to show them');
  command.option('--platform', "Also the deployment's platform role: policies, keys, backup, nodes");
  defineControlOptions(command);
}

/** Somebody may sign in from now on. */
export async function run(call: Call): Promise<Result> {
  const [subject = ''] = call.args;
  const role = textOption(call.options, 'role');
  if (!ROLES.some((one) => one === role)) throw misuse(`--role must be one of ${ROLES.join(', ')}`);
  const body = {
    subject,
    keys: listOption(call.options, 'key'),
    role,
    name: textOption(call.options, 'name'),
    ...(call.options.platform === true ? { platform: true } : {}),
  };
  const { operator } = await controlApi(call).post('/api/wallet/operators', body);
  return { data: { operator }, lines: [`${cell(member(operator, 'id'))} may sign in as ${role}`] };
}
