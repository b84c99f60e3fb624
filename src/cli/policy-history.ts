import type { Command } from 'commander';
import { type Call, type Result, textOption } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { table } from './terminal.ts';

export function define(command: Command): void {
  command.option('--profile <profile>', 'low, high or critical');
  defineControlOptions(command);
}

/** Bundles that are kept, which are in force, and what operators did. */
export async function run(call: Call): Promise<Result> {
  const profile = textOption(call.options, 'profile');
  const query = profile === undefined ? '' : `?${new URLSearchParams({ profile })}`;
  const { bundles, acts } = await controlApi(call).get(`/api/wallet/policies/history${query}`);
  const kept: readonly unknown[] = Array.isArray(bundles) ? bundles : [];
  const done = Object.values(typeof acts === 'object' && acts !== null ? acts : {}).flat() as unknown[];
  return {
    data: { bundles, acts },
    lines: [
      ...table(kept.map(bundleRow), call.terminal.interactive),
      ...table(done.map(actRow), call.terminal.interactive),
    ],
  };
}

function bundleRow(bundle: unknown): string[] {
  const of = (name: string) => cell(member(bundle, name));
  return [
    of('name'),
    of('revision'),
    `serial ${of('serial')}`,
    of('active') === 'true' ? 'in force' : '',
    of('activated_at'),
  ];
}

function actRow(act: unknown): string[] {
  const of = (name: string) => cell(member(act, name));
  return [of('at'), of('act'), of('revision'), of('by'), of('reason')];
}
