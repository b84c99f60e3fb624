import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Bundle } from '../policy/bundle.ts';
import { isTestFile, type Sources, sourcesIn } from '../policy/policy-files.ts';
import { placeInBundle } from '../policy/revision-tests.ts';
import { isAdapted } from '../schema/bundle.ts';
import { type Call, textOption } from './command.ts';
import { type ControlApi, cell, member } from './control-api.ts';
import { CliError, EXIT } from './exit.ts';

const UNDER = 'policies';

/** The tests below the folder that `--tests` names, by path below it; null without it. */
export async function testsIn(call: Call): Promise<Sources | null> {
  const named = textOption(call.options, 'tests');
  if (named === undefined) return null;
  const folder = resolve(call.folder, named);
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new CliError(
      'folder_missing',
      `${folder} is no folder: give one that holds policies`,
      EXIT.misused,
    );
  const found = [...(await sourcesIn(folder, UNDER))]
    .filter(([path]) => isTestFile(path))
    .map(([path, text]): [string, string] => [path.slice(UNDER.length + 1), text]);
  if (found.length > 0) return new Map(found);
  throw new CliError('tests_missing', `${folder} holds no *_test.rego`, EXIT.misused);
}

/** Has the control plane run those that belong to a kept bundle. Gives what it answers; null where none does. */
export async function tested(api: ControlApi, bundle: Bundle, tests: Sources): Promise<unknown> {
  const adapted = isAdapted(bundle.manifest);
  const own = [...tests].filter(([path]) => adapted || placeInBundle(path, bundle.name) !== null);
  if (own.length === 0) return null;
  const body = { tests: Object.fromEntries(own) };
  return (await api.post(`/api/wallet/policies/${bundle.sha256}/tests`, body)).tests;
}

/** `tests`: as the control plane tells them. */
export function testsText(tests: unknown): string {
  if (tests === null || tests === undefined) return 'not known';
  const of = (name: string) => cell(member(tests, name));
  const skipped = of('skipped') === '0' ? '' : `, ${of('skipped')} skipped`;
  const failed = of('failed') === '0' ? '' : `${of('failed')} FAILED, `;
  return `${failed}${of('passed')} pass${skipped}, coverage ${cell(member(tests, 'coverage', 'percent'))} %`;
}

export function failureLines(tests: unknown): string[] {
  const failures = member(tests, 'failures');
  return (Array.isArray(failures) ? failures : []).flatMap((one: unknown) => {
    const of = (name: string) => cell(member(one, name));
    const detail = of('detail')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => `\t${line}`);
    return [`${of('file')}:${of('row')}:1: ${of('name')}: ${of('outcome')}`, ...detail];
  });
}
