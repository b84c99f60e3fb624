import type { Command } from 'commander';
import { type Call, countOption, type Result, textOption } from './command.ts';
import { cell, controlApi, defineControlOptions } from './control-api.ts';
import { defineFilters, filterQuery } from './decision-filters.ts';
import { decisionRow } from './decision-line.ts';
import { CliError } from './exit.ts';
import { table } from './terminal.ts';

export function define(command: Command): void {
  command.option('--limit <count>', 'How many at most', '20');
  command.option('--cursor <cursor>', 'Go on from where an earlier list with the same filters ended');
  defineFilters(command, true);
  defineControlOptions(command);
}

export async function run(call: Call): Promise<Result> {
  const query = filterQuery(call);
  query.set('limit', String(countOption(call.options, 'limit', '--limit') ?? 20));
  const cursor = textOption(call.options, 'cursor');
  if (cursor !== undefined) query.set('cursor', cursor);
  const answer = await controlApi(call).get(`/api/wallet/runtimes/decisions?${query}`);
  const { decisions, next_cursor: next = null } = answer;
  if (!Array.isArray(decisions))
    throw new CliError('answer_invalid', 'the control plane sent no list of decisions');
  const rows = table(decisions.map(decisionRow), call.terminal.interactive);
  const more = next === null ? [] : [`More: --cursor ${cell(next)}`];
  return {
    data: { decisions, next_cursor: next },
    lines: rows.length === 0 ? ['No decision yet'] : [...rows, ...(call.terminal.interactive ? more : [])],
  };
}
