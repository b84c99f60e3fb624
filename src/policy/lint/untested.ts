import type { Coverage, Parsed, PolicyProblem, RuleFacts } from '../compiler/answers.ts';
import type { Facts } from '../lint.ts';
import { isDenialCode, isTestFile } from '../policy-files.ts';
import { found } from './found.ts';
import { isBelow, isWithin } from './paths.ts';

const HINT = 'write a test in which it holds; `lemma policy test --coverage` shows what the tests evaluate';

/**
 * Rules that no test can evaluate, since none refers to them, and denials that no test expects by their code. A default
 * stands for the case that cannot be reached.
 */
export function findUntested({ parsed }: Facts): PolicyProblem[] {
  const tests = reachOfTests(parsed);
  return parsed.rules
    .filter((rule) => !rule.default && !isTestFile(rule.file))
    .flatMap((rule) => {
      const message = missing(rule, tests);
      return message === null ? [] : [found('lint_rule_untested', rule, message, HINT)];
    });
}

/** Rules that no test makes true. Null where the compiler does not know (native `opa`). */
export function uncoveredRules({ rules }: Coverage): PolicyProblem[] | null {
  if (rules === null) return null;
  return rules
    .filter((rule) => !rule.covered && !rule.default && !isTestFile(rule.file))
    .map((rule) => {
      const hint = 'write a test in which it holds, or take it out';
      return found('rule_uncovered', rule, `no test makes this rule of ${rule.name} true`, hint);
    });
}

function missing(rule: RuleFacts, tests: readonly Reach[]): string | null {
  const reaching = tests.filter(({ rules }) => rules.has(rule));
  if (reaching.length === 0) return `no test refers to this rule of ${rule.name}`;
  const code = rule.name === 'deny' ? rule.head_key : null;
  // A code that nobody may give is to be mended first.
  if (code === null || !isDenialCode(code) || reaching.some(({ strings }) => strings.has(code))) return null;
  return `no test of these denials names "${code}"`;
}

/** What a test may evaluate, and the constants that it and its fixtures hold. */
interface Reach {
  readonly rules: ReadonlySet<RuleFacts>;
  readonly strings: ReadonlySet<string>;
}

function reachOfTests({ rules }: Parsed): Reach[] {
  const named = Map.groupBy(rules, pathOf);
  const paths = [...named.keys()];
  const targets = new Map<string, readonly RuleFacts[]>();
  const targetsOf = (ref: string): readonly RuleFacts[] => {
    const known = targets.get(ref);
    if (known !== undefined) return known;
    const found = paths
      .filter((path) => isWithin(ref, path) || isBelow(path, ref))
      .flatMap((path) => named.get(path) ?? []);
    targets.set(ref, found);
    return found;
  };
  return rules.filter(isTest).map((test) => {
    const reached = new Set([test]);
    // A set gives what is added to it while it is walked.
    for (const rule of reached)
      for (const ref of rule.refs) for (const target of targetsOf(ref)) reached.add(target);
    const strings = [...reached].filter(({ file }) => isTestFile(file)).flatMap((rule) => rule.strings);
    return { rules: reached, strings: new Set(strings) };
  });
}

function pathOf(rule: RuleFacts): string {
  return `${rule.package}.${rule.name}`;
}

/** As OPA finds tests: some part of the rule's name begins so. */
function isTest({ name }: RuleFacts): boolean {
  return name.split(/[.[]/).some((part) => part.replace(/^"/, '').startsWith('test_'));
}
