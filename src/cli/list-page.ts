import type { Command } from 'commander';
import { type Call, countOption, type Result, textOption } from './command.ts';
import { cell, controlApi } from './control-api.ts';
import { CliError } from './exit.ts';
import { table } from './terminal.ts';

/** `--limit` and `--cursor`. */
export function defineListOptions(command: Command, limit: number): void {
  command.option('--limit <count>', 'How many at most', String(limit));
  command.option('--cursor <cursor>', 'Go on from where an earlier list with the same filters ended');
}

export interface Listing {
  readonly path: string;
  readonly query: URLSearchParams;
  /** The member of the answer that has the items. */
  readonly name: string;
  readonly row: (item: unknown) => readonly string[];
  /** Said where there are none. */
  readonly none: string;
}

/** One page of a list of the control plane, and how to go on. Throws CliError where an answer has none. */
export async function listPage(call: Call, { path, query, name, row, none }: Listing): Promise<Result> {
  const limit = countOption(call.options, 'limit', '--limit');
  const cursor = textOption(call.options, 'cursor');
  if (limit !== undefined) query.set('limit', String(limit));
  if (cursor !== undefined) query.set('cursor', cursor);
  const answer = await controlApi(call).get(`${path}?${query}`);
  const { [name]: items, next_cursor: next = null } = answer;
  if (!Array.isArray(items))
    throw new CliError('answer_invalid', `the control plane sent no list of ${name}`);
  const { interactive } = call.terminal;
  const rows = table(items.map(row), interactive);
  const more = next === null || !interactive ? [] : [`More: --cursor ${cell(next)}`];
  return {
    data: { [name]: items, next_cursor: next },
    lines: rows.length === 0 ? [none] : [...rows, ...more],
  };
}
