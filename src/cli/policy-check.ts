import type { Command } from 'commander';
import type { PolicyProblem } from '../policy/compiler/answers.ts';
import type { Compiler } from '../policy/compiler/compiler.ts';
import { lint, type Policies } from '../policy/lint.ts';
import { PolicyRefused } from '../policy/make.ts';
import { dataOf, isTestFile, metaOf } from '../policy/policy-files.ts';
import { policyInputSchema } from '../schema/input.ts';
import type { Call, Result } from './command.ts';
import { refusal, withCompiler } from './policy-errors.ts';
import { readPolicies } from './policy-folder.ts';

export function define(command: Command): void {
  command.argument('[path]', "Folder of policies (default: ./policies, else the package's own)");
}

/** OPA's check, strict and with the input's types, then our own lint. */
export function run(call: Call): Promise<Result> {
  return withCompiler(async (compiler) => {
    const policies = await readPolicies(call, call.args[0]);
    const { root, profiles, files } = policies;
    for (const profile of profiles) {
      await metaOf(root, profile);
      await dataOf(root, profile);
    }
    const wrong = await checkRego(compiler, policies);
    // A lint of what does not compile would only repeat it.
    const problems = wrong.length > 0 ? wrong : await lintRego(call, compiler, policies);
    if (problems.length > 0) throw refusal(policies.placed(problems));
    return {
      data: { path: root, profiles, files: files.size, problems: [] },
      lines: [`The policies in ${root} are good: ${profiles.join(', ')} (${files.size} files)`],
    };
  });
}

/** Policies are held to what the engine runs, tests may call all of OPA. */
export async function checkRego(compiler: Compiler, { files }: Policies): Promise<PolicyProblem[]> {
  const own = new Map([...files].filter(([path]) => !isTestFile(path)));
  const strict = await compiler.check({ files: own, schema: policyInputSchema });
  const tests = await compiler.check({ files, capabilities: null });
  const byPlace = new Map<string, PolicyProblem>();
  for (const problem of [...strict.errors, ...tests.errors]) {
    const { file, row, col, message } = problem;
    const key = `${file}:${row}:${col}:${message}`;
    if (!byPlace.has(key)) byPlace.set(key, problem);
  }
  return [...byPlace.values()];
}

async function lintRego(call: Call, compiler: Compiler, policies: Policies): Promise<PolicyProblem[]> {
  if (compiler.engine === 'wasm') {
    try {
      return await lint(compiler, policies);
    } catch (error) {
      if (error instanceof PolicyRefused) return [...error.problems];
      throw error;
    }
  }
  call.terminal.note('warning: our own lint needs the compiler of the package; only OPA has checked this');
  return [];
}
