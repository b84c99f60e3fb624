import type { Command } from 'commander';
import { type Call, type Result, textOption } from './command.ts';
import { cell, defineControlOptions, member } from './control-api.ts';
import { defineListOptions, listPage } from './list-page.ts';

/** Options, and the parameter of each. */
const FILTERS = ['status', 'profile', 'agent', 'workspace'] as const;

export function define(command: Command): void {
  command.option('--status <status>', 'active, inactive or killed');
  command.option('--profile <profile>', 'low, high or critical');
  command.option('--agent <id>', 'Of this agent');
  command.option('--workspace <id>', 'Of this workspace');
  command.option('--ppid <subject>', 'Below this delegator (did:lemma:ppid_…)');
  defineListOptions(command, 100);
  defineControlOptions(command);
}

export async function run(call: Call): Promise<Result> {
  const query = new URLSearchParams();
  for (const name of FILTERS) put(query, name, textOption(call.options, name));
  put(query, 'subject', textOption(call.options, 'ppid'));
  return listPage(call, {
    path: '/api/wallet/runtimes',
    query,
    name: 'runtimes',
    row,
    none: 'No such runtime',
  });
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
