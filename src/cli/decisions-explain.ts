import type { Command } from 'commander';
import { explanationMarkdown } from '../pdp/explain-markdown.ts';
import type { Call, Result } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { explanationLines, explanationOf } from './explanation.ts';

export function define(command: Command): void {
  command.argument('<decision-id>', 'The id that came with the answer');
  command.option('--all', 'Every rule with its lines, not only those that decided');
  command.option('--markdown', 'The same as Markdown, to paste into a ticket');
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
  const { all, markdown } = call.options;
  const explanation = await explanationOf(controlApi(call), id, traceMode(call.options));
  const lines =
    markdown === true
      ? explanationMarkdown(explanation).trimEnd().split('\n')
      : explanationLines(call, explanation, all === true);
  return { data: { explanation }, lines };
}

function traceMode({ trace, fullTrace }: Call['options']): 'fails' | 'full' | 'rules' {
  if (fullTrace === true) return 'full';
  return trace === true ? 'fails' : 'rules';
}
