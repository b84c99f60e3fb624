import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { diffLines } from '../policy/diff-lines.ts';
import { isRego } from '../policy/policy-files.ts';
import type { Call, Result } from './command.ts';
import { CliError } from './exit.ts';
import { withCompiler } from './policy-errors.ts';
import { type PolicyFolder, readPolicies } from './policy-folder.ts';

export function define(command: Command): void {
  command
    .argument('[path]', "Folder of policies (default: ./policies, else the package's own)")
    .option('--diff', 'Show what would change')
    .option('--write', 'Change the files');
}

/** Names the files that OPA would write differently, and fails when there are some; with --write, writes them. */
export function run(call: Call): Promise<Result> {
  return withCompiler(async (compiler) => {
    const policies = await readPolicies(call, call.args[0]);
    const rego = new Map([...policies.files].filter(([file]) => isRego(file)));
    const { files, changed } = policies.resultOf(await compiler.fmt({ files: rego }));
    const changes = changed.map((file) => ({
      file: policies.place(file),
      path: join(policies.root, file.slice(policies.under.length + 1)),
      before: rego.get(file) ?? '',
      after: files.get(file) ?? '',
    }));
    const write = call.options.write === true;
    if (write) for (const { path, after } of changes) writeFileSync(path, after);
    const lines = changes.flatMap((change) => linesOf(change, call.options.diff === true));
    const data = { path: policies.root, changed: changes.map(({ file }) => file), written: write };
    if (changes.length > 0 && !write) {
      const message = ['not as OPA writes it (--write changes it)', ...lines].join('\n');
      throw new CliError('not_formatted', message, 1, data);
    }
    return { data, lines: [...lines, summary(policies, changes.length)] };
  });
}

interface Change {
  readonly file: string;
  readonly before: string;
  readonly after: string;
}

function linesOf({ file, before, after }: Change, diff: boolean): string[] {
  return diff ? [`--- ${file}`, `+++ ${file}`, ...diffLines(before, after)] : [file];
}

function summary({ root }: PolicyFolder, count: number): string {
  return count === 0 ? `The Rego in ${root} is as OPA writes it` : `${count} files written in ${root}`;
}
