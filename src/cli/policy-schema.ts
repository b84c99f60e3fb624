import type { Command } from 'commander';
import { policyInputSchema } from '../schema/input.ts';
import { policyResultSchema } from '../schema/result.ts';
import type { Call, Result } from './command.ts';

export function define(command: Command): void {
  command.option('--result', "The schema of a policy's result instead");
}

/** For `opa check -s`, and for editors. */
export async function run(call: Call): Promise<Result> {
  const schema = call.options.result === true ? policyResultSchema : policyInputSchema;
  return { data: schema, lines: [JSON.stringify(schema, null, 2)] };
}
