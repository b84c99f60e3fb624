import { policyInputSchema } from '../schema/input.ts';
import type { Answer, Parsed, PolicyProblem } from './compiler/answers.ts';
import type { Compiler } from './compiler/compiler.ts';
import { findDefaultDenies } from './lint/default-deny.ts';
import { findReasons } from './lint/reasons.ts';
import { findStrays } from './lint/strays.ts';
import { findUnread } from './lint/unread.ts';
import { findUntested } from './lint/untested.ts';
import { isTestFile, type Sources } from './policy-files.ts';

/** Policies as `sourcesIn` reads them, below `under`. */
export interface Policies {
  readonly files: Sources;
  /** First part of each path. */
  readonly under: string;
}

/** OPA's check. Policies are held to what the engine runs, tests may call all of OPA. */
export function review(compiler: Compiler, { files }: Policies): Promise<Answer<Parsed | null>> {
  return compiler.review({ files, tests: [...files.keys()].filter(isTestFile), schema: policyInputSchema });
}

/** What each rule of the lint looks at. */
export interface Facts extends Policies {
  readonly parsed: Parsed;
}

/**
 * What OPA lets pass and is a mistake in a policy of ours, by place. Only what can be decided without running it:
 *
 * - `lint_no_default_deny`: a profile whose `decision` has no default, or one that does not deny
 * - `lint_reason_unproduced`: a code in `precedence` that no profile denies with
 * - `lint_reason_unknown`: a denial with a code that a policy may not give
 * - `lint_data_unread`: a member of a profile's `data.json` that no rule reads
 * - `lint_rule_untested`: a rule that no test refers to, over whatever other rules, or a denial whose code no such test
 *   names; `uncoveredRules` knows what the tests really evaluate
 * - `lint_not_bundled`: a file that tests would read and no bundle holds; `lint_package`: one outside its root
 */
export async function lint(compiler: Compiler, facts: Facts): Promise<PolicyProblem[]> {
  const found = [
    ...findStrays(facts),
    ...(await findDefaultDenies(compiler, facts)),
    ...(await findReasons(compiler, facts)),
    ...findUnread(facts),
    ...findUntested(facts),
  ];
  return found.sort(byPlace);
}

function byPlace(a: PolicyProblem, b: PolicyProblem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.row - b.row || a.col - b.col || (a.message < b.message ? -1 : 1);
}
