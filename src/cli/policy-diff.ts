import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { diffBundles } from '../policy/diff.ts';
import type { Call, Result } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { CliError, EXIT, misuse } from './exit.ts';
import { readBundles } from './policy-bundle-files.ts';
import { explained } from './policy-errors.ts';
import { digestOf } from './policy-revision.ts';

export function define(command: Command): void {
  command.argument('<from>', 'A bundle (folder or tar.gz), or digest or revision of a published one');
  command.argument('<to>', 'The other one, of the same kind');
  defineControlOptions(command);
}

/** What changes from one bundle to another: Rego, data, and what they ask of the service. */
export function run(call: Call): Promise<Result> {
  return explained(async () => {
    const [from = '', to = ''] = call.args;
    const here = [from, to].filter((named) => existsSync(resolve(call.folder, named)));
    if (here.length === 1) throw misuse('compare two bundles that lie here, or two that were published');
    const diff: object = here.length === 2 ? await local(call, from, to) : await published(call, from, to);
    return { data: diff, lines: linesOf(diff) };
  });
}

async function local(call: Call, from: string, to: string): Promise<object> {
  const one = async (named: string) => {
    const [found, ...more] = await readBundles(call.folder, named);
    if (found !== undefined && more.length === 0) return found.bundle;
    throw new CliError(
      'bundle_missing',
      `${named} holds more than one bundle: name one of them`,
      EXIT.misused,
    );
  };
  return diffBundles(await one(from), await one(to));
}

async function published(call: Call, from: string, to: string): Promise<object> {
  const api = controlApi(call);
  const query = new URLSearchParams({ from: await digestOf(api, from), to: await digestOf(api, to) });
  const { success: _, ...diff } = await api.get(`/api/wallet/policies/diff?${query}`);
  return diff;
}

function linesOf(diff: object): string[] {
  const listed = (name: string): readonly unknown[] => {
    const found = member(diff, name);
    return Array.isArray(found) ? found : [];
  };
  const files = [...listed('rego'), ...listed('data')].flatMap(fileLines);
  const asked = listed('capabilities').map((one) => {
    const value = (name: string) => JSON.stringify(member(one, name));
    return `${cell(member(one, 'member'))}: ${value('from')} -> ${value('to')}`;
  });
  const module = member(diff, 'module_equal') === true ? [] : ['policy.wasm differs'];
  const lines = [...files, ...asked, ...module];
  return lines.length === 0 ? ['No difference'] : lines;
}

function fileLines(file: unknown): string[] {
  const lines = member(file, 'lines');
  const head = `${cell(member(file, 'change'))} ${cell(member(file, 'path'))}`;
  return [head, ...(Array.isArray(lines) ? lines.map((line) => cell(line)) : ['  too much to show'])];
}
