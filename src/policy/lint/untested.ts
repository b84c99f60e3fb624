import type { PolicyProblem } from '../compiler/answers.ts';
import type { Facts } from '../lint.ts';
import { isTestFile } from '../policy-files.ts';
import { found } from './found.ts';

/** Rules that no test evaluates. A default stands for the case that cannot be reached. */
export function findUntested({ parsed, coverage }: Facts): PolicyProblem[] {
  const defaults = new Set(
    parsed.rules.filter((rule) => rule.default).map(({ file, row }) => `${file}:${row}`),
  );
  return (coverage ?? [])
    .filter(({ file, row, covered }) => !covered && !isTestFile(file) && !defaults.has(`${file}:${row}`))
    .map((rule) => {
      const hint = 'write a test in which it holds; `lemma policy test --coverage` shows the lines';
      return found('lint_rule_untested', rule, `no test evaluates this rule of ${rule.name}`, hint);
    });
}
