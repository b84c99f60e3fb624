import type { Command } from 'commander';
import { type Call, countOption, type Result, textOption } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { CliError } from './exit.ts';
import { table } from './terminal.ts';

/** Options, and the parameter of each. */
const FILTERS = ['status', 'profile', 'agent', 'workspace'] as const;

export function define(command: Command): void {
  command.option('--status <status>', 'active, inactive or killed');
  command.option('--profile <profile>', 'low, high or critical');
  command.option('--agent <id>', 'Of this agent');
  command.option('--workspace <id>', 'Of this workspace');
  command.option('--ppid <subject>', 'Below this delegator (did:lemma:ppid_…)');
  command.option('--limit <count>', 'How many at most', '100');
  command.option('--cursor <cursor>', 'Go on from where an earlier list ended');
  defineControlOptions(command);
}

export async function run(call: Call): Promise<Result> {
  const query = new URLSearchParams({ limit: String(countOption(call.options, 'limit', '--limit') ?? 100) });
  for (const name of FILTERS) put(query, name, textOption(call.options, name));
  put(query, 'subject', textOption(call.options, 'ppid'));
  put(query, 'cursor', textOption(call.options, 'cursor'));
  const { runtimes, next_cursor: next = null } = await controlApi(call).get(`/api/wallet/runtimes?${query}`);
  if (!Array.isArray(runtimes))
    throw new CliError('answer_invalid', 'the control plane sent no list of runtimes');
  const rows = table(runtimes.map(row), call.terminal.interactive);
  const more = next === null ? [] : [`More: --cursor ${cell(next)}`];
  return {
    data: { runtimes, next_cursor: next },
    lines: rows.length === 0 ? ['No such runtime'] : [...rows, ...(call.terminal.interactive ? more : [])],
  };
}

function put(query: URLSearchParams, name: string, value: string | undefined): void {
  if (value !== undefined) query.set(name, value);
}

function row(runtime: unknown): string[] {
  const names = ['runtime_id', 'status', 'profile', 'agent_id', 'workspace_id'] as const;
  return [
    ...names.map((name) => cell(member(runtime, name))),
    `epoch ${cell(member(runtime, 'taint_epoch'))}`,
  ];
}
