import type { Parsed, PolicyProblem, RuleCoverage } from './compiler/answers.ts';
import type { Compiler } from './compiler/compiler.ts';
import { findDefaultDenies } from './lint/default-deny.ts';
import { findReasons } from './lint/reasons.ts';
import { findStrays } from './lint/strays.ts';
import { findUnread } from './lint/unread.ts';
import { findUntested } from './lint/untested.ts';
import { resultOf } from './make.ts';
import type { Sources } from './policy-files.ts';

/** Policies as `sourcesIn` reads them, below `under`. */
export interface Policies {
  readonly files: Sources;
  /** First part of each path. */
  readonly under: string;
}

/** What each rule of the lint looks at. */
export interface Facts extends Policies {
  readonly parsed: Parsed;
  /** Null where the compiler does not know (native `opa`). */
  readonly coverage: readonly RuleCoverage[] | null;
}

/**
 * What OPA lets pass and is a mistake in a policy of ours, by place. Only what can be decided:
 *
 * - `lint_no_default_deny`: a profile whose `decision` has no default, or one that does not deny
 * - `lint_reason_unproduced`: a code in `precedence` that no profile denies with
 * - `lint_reason_unknown`: a denial with a code that a policy may not give
 * - `lint_data_unread`: a member of a profile's `data.json` that no rule reads
 * - `lint_rule_untested`: a rule that no test evaluates
 * - `lint_not_bundled`: a file that tests would read and no bundle holds; `lint_package`: one outside its root
 *
 * @throws PolicyRefused when OPA cannot read the policies, or a test runs away; `compiler_unavailable` from native `opa`
 */
export async function lint(compiler: Compiler, policies: Policies): Promise<PolicyProblem[]> {
  const { files } = policies;
  const parsed = resultOf(await compiler.parse({ files }));
  const tested = resultOf(await compiler.test({ files, coverage: true }));
  const facts: Facts = { ...policies, parsed, coverage: tested.coverage?.rules ?? null };
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
