import type { Command } from 'commander';
import { ADAPTERS } from '../schema/bundle.ts';
import { policyInputSchema } from '../schema/input.ts';
import { opaEnvoyInputSchema } from '../schema/opa-envoy-input.ts';
import { policyResultSchema } from '../schema/result.ts';
import { type Call, type Result, textOption } from './command.ts';
import { misuse } from './exit.ts';

export function define(command: Command): void {
  command.option('--result', "The schema of a policy's result instead");
  command.option('--adapter <name>', `The input of a policy behind an adapter: ${ADAPTERS.join(', ')}`);
}

/** For `opa check -s`, and for editors. */
export async function run(call: Call): Promise<Result> {
  const schema = schemaFor(call);
  return { data: schema, lines: [JSON.stringify(schema, null, 2)] };
}

function schemaFor(call: Call): object {
  const adapter = textOption(call.options, 'adapter');
  if (adapter === undefined) return call.options.result === true ? policyResultSchema : policyInputSchema;
  if (!ADAPTERS.some((one) => one === adapter))
    throw misuse(`--adapter must be one of ${ADAPTERS.join(', ')}`);
  if (call.options.result === true) throw misuse('--result is the same for all: give one of the two');
  return opaEnvoyInputSchema;
}
