import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';

export function define(command: Command): void {
  command.argument('<id>', 'The operator: opr_…');
  defineControlOptions(command);
}

export async function run(call: Call): Promise<Result> {
  const [id = ''] = call.args;
  const path = `/api/wallet/operators/${encodeURIComponent(id)}/remove`;
  const { removed } = await controlApi(call).post(path, {});
  return {
    data: { removed },
    lines: [`${id} is no operator any more; sessions and keys of theirs are void`],
  };
}
