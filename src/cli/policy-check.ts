import type { Command } from 'commander';
import type { Compiler } from '../policy/compiler/compiler.ts';
import { lint, review } from '../policy/lint.ts';
import { dataOf, metaOf } from '../policy/policy-files.ts';
import type { Call, Result } from './command.ts';
import { refusal, withCompiler } from './policy-errors.ts';
import { readPolicies } from './policy-folder.ts';
import { defineWatch, repeated } from './policy-watch.ts';

export function define(command: Command): void {
  command.argument('[path]', "Folder of policies (default: ./policies, else the package's own)");
  defineWatch(command);
}

/** OPA's check, strict and with the input's types, then our own lint. */
export function run(call: Call): Promise<Result | null> {
  return withCompiler((compiler) => repeated(call, (root) => checked(call, compiler, root)));
}

async function checked(call: Call, compiler: Compiler, folder: string): Promise<Result> {
  const policies = await readPolicies(call, folder);
  const { root, profiles, files } = policies;
  for (const profile of profiles) {
    await metaOf(root, profile);
    await dataOf(root, profile);
  }
  const parsed = policies.resultOf(await review(compiler, policies));
  if (parsed === null) call.terminal.note(NO_LINT);
  const problems = parsed === null ? [] : await lint(compiler, { ...policies, parsed });
  if (problems.length > 0) throw refusal(policies.placed(problems));
  return {
    data: { path: root, profiles, files: files.size, problems: [] },
    lines: [`The policies in ${root} are good: ${profiles.join(', ')} (${files.size} files)`],
  };
}

const NO_LINT = 'warning: our own lint needs the compiler of the package; only OPA has checked this';
