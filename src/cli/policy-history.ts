import type { Command } from 'commander';
import { type Call, type Result, textOption } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { testsText } from './policy-tested.ts';
import { table } from './terminal.ts';

export function define(command: Command): void {
  command.option('--profile <profile>', 'low, high or critical');
  defineControlOptions(command);
}

/** Bundles that are kept, who brought them and what their tests came to, which are in force, what operators did, and which commits of the repository were rejected. */
export async function run(call: Call): Promise<Result> {
  const profile = textOption(call.options, 'profile');
  const query = profile === undefined ? '' : `?${new URLSearchParams({ profile })}`;
  const { bundles, acts, source = null } = await controlApi(call).get(`/api/wallet/policies/history${query}`);
  const kept: readonly unknown[] = Array.isArray(bundles) ? bundles : [];
  const done = Object.values(typeof acts === 'object' && acts !== null ? acts : {}).flat() as unknown[];
  return {
    data: { bundles, acts, source },
    lines: [
      ...table(kept.map(bundleRow), call.terminal.interactive),
      ...table(done.map(actRow), call.terminal.interactive),
      ...sourceLines(source, call.terminal.interactive),
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
    cell(member(bundle, 'published', 'author') ?? member(bundle, 'published', 'by')),
    `tests: ${testsText(member(bundle, 'tests'))}`,
  ];
}

function actRow(act: unknown): string[] {
  const of = (name: string) => cell(member(act, name));
  return [of('at'), of('act'), of('revision'), of('by'), of('reason')];
}

/** The commit in force, and below it those that never were, each with its reason. */
function sourceLines(source: unknown, cut: boolean): string[] {
  if (source === null) return [];
  const accepted = member(source, 'accepted');
  const rejected = member(source, 'rejected');
  const failing = member(source, 'failing');
  const row = (one: unknown, what: string) => [
    cell(member(one, 'at')),
    cell(member(one, 'commit')).slice(0, 12),
    what,
    cell(member(one, 'author')),
    cell(member(one, 'subject')),
  ];
  return [
    '',
    `${cell(member(source, 'source'))}${failing === null ? '' : `: ${cell(member(failing, 'message'))}`}`,
    ...(accepted === null ? [] : table([row(accepted, 'in force')], cut)),
    ...(Array.isArray(rejected) ? rejected : []).flatMap((one: unknown) => [
      ...table([row(one, `rejected: ${cell(member(one, 'code'))}`)], cut),
      ...cell(member(one, 'message'))
        .split('\n')
        .map((line) => `  ${line}`),
    ]),
  ];
}
