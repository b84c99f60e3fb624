import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { defineControlOptions } from './control-api.ts';
import { defineFilters, filterQuery } from './decision-filters.ts';
import { decisionRow } from './decision-line.ts';
import { defineListOptions, listPage } from './list-page.ts';

export function define(command: Command): void {
  defineListOptions(command, 20);
  defineFilters(command, true);
  defineControlOptions(command);
}

export async function run(call: Call): Promise<Result> {
  return listPage(call, {
    path: '/api/wallet/runtimes/decisions',
    query: filterQuery(call),
    name: 'decisions',
    row: decisionRow,
    none: 'No decision yet',
  });
}
