import { existsSync, statSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Answer, PolicyProblem } from '../policy/compiler/answers.ts';
import type { Policies } from '../policy/lint.ts';
import { resultOf } from '../policy/make.ts';
import { profilesIn, sourcesIn } from '../policy/policy-files.ts';
import type { Profile } from '../schema/common.ts';
import type { Call } from './command.ts';
import { CliError, EXIT } from './exit.ts';

/** The defaults, as this package brings them. */
export const OWN_POLICIES = fileURLToPath(new URL('../../policies/', import.meta.url));
const UNDER = 'policies';

/** The policies that a command is about. */
export interface PolicyFolder extends Policies {
  readonly root: string;
  readonly profiles: readonly Profile[];
  /** A path of `files` as the user would write it. */
  place(file: string): string;
  placed(problems: readonly PolicyProblem[]): PolicyProblem[];
  /** As `resultOf`, with the paths as the user would write them. Throws PolicyRefused. */
  resultOf<T>(answer: Answer<T>): T;
}

export async function readPolicies(call: Call, named: string | undefined): Promise<PolicyFolder> {
  const root = policyFolder(call, named);
  if (!existsSync(root) || !statSync(root).isDirectory())
    throw new CliError('folder_missing', `${root} is no folder: give one that holds policies`, EXIT.misused);
  const profiles = await profilesIn(root);
  const files = await sourcesIn(root, UNDER);
  const shown = relative(call.folder, root) || '.';
  const place = (file: string) =>
    file.startsWith(`${UNDER}/`) ? `${shown}/${file.slice(UNDER.length + 1)}` : file;
  const placed = (problems: readonly PolicyProblem[]) =>
    problems.map((problem) => ({ ...problem, file: place(problem.file) }));
  const placedResult = <T>(answer: Answer<T>) =>
    resultOf(answer.ok ? answer : { ...answer, errors: placed(answer.errors) });
  return { root, profiles, files, under: UNDER, place, placed, resultOf: placedResult };
}

/** The folder that was named, else `./policies`, else the package's own. */
export function policyFolder(call: Call, named: string | undefined): string {
  if (named !== undefined) return resolve(call.folder, named);
  const here = resolve(call.folder, 'policies');
  return existsSync(here) ? here : resolve(OWN_POLICIES);
}
