import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { explanationLines, explanationOf } from './explanation.ts';

export function define(command: Command): void {
  command.argument('<decision-id>', 'The id that came with the answer');
  command.option(
    '--trace',
    "Also what failed on OPA's way to the decision, by the compiler beside the service",
  );
  command.option('--full-trace', 'The same with every step');
  defineControlOptions(command);
}

/** The record, the policy as it was, and whether the same comes out again. */
export async function run(call: Call): Promise<Result> {
  const [id = ''] = call.args;
  const explanation = await explanationOf(controlApi(call), id, traceMode(call.options));
  return { data: { explanation }, lines: explanationLines(call, explanation) };
}

function traceMode({ trace, fullTrace }: Call['options']): 'fails' | 'full' | undefined {
  if (fullTrace === true) return 'full';
  return trace === true ? 'fails' : undefined;
}
