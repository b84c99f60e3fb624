import type { Command } from 'commander';
import { type Call, countOption, type Result, textOption } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { CliError } from './exit.ts';
import { table } from './terminal.ts';

export function define(command: Command): void {
  command.option('--limit <count>', 'How many at most', '20');
  command.option('--cursor <cursor>', 'Go on from where an earlier list ended');
  defineControlOptions(command);
}

export async function run(call: Call): Promise<Result> {
  const query = new URLSearchParams({ limit: String(countOption(call.options, 'limit', '--limit') ?? 20) });
  const cursor = textOption(call.options, 'cursor');
  if (cursor !== undefined) query.set('cursor', cursor);
  const answer = await controlApi(call).get(`/api/wallet/runtimes/decisions?${query}`);
  const { decisions, next_cursor: next = null } = answer;
  if (!Array.isArray(decisions))
    throw new CliError('answer_invalid', 'the control plane sent no list of decisions');
  const rows = table(decisions.map(row), call.terminal.interactive);
  const more = next === null ? [] : [`More: --cursor ${cell(next)}`];
  return {
    data: { decisions, next_cursor: next },
    lines: rows.length === 0 ? ['No decision yet'] : [...rows, ...(call.terminal.interactive ? more : [])],
  };
}

function row(record: unknown): string[] {
  const request = (name: string) => cell(member(record, 'request', name));
  return [
    timeOf(member(record, 'time')),
    cell(member(record, 'verdict')),
    cell(member(record, 'reason')),
    cell(member(record, 'actor', 'runtime_id')) || '-',
    `${request('method')} ${request('host')}${request('path')}`,
    cell(member(record, 'decision_id')),
  ];
}

/** Records count milliseconds, the REST API may say RFC 3339. */
function timeOf(value: unknown): string {
  return typeof value === 'number' && Number.isSafeInteger(value)
    ? new Date(value).toISOString()
    : cell(value);
}
