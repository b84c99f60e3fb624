import { PROFILES, type Profile } from '../../schema/common.ts';
import type { PolicyProblem, RuleFacts } from '../compiler/answers.ts';
import type { Compiler } from '../compiler/compiler.ts';
import type { Facts } from '../lint.ts';
import { found } from './found.ts';

const CODE = 'lint_no_default_deny';
const HINT =
  'write: default decision := {"allow": false, "reason": "policy_denied", "reasons": ["policy_denied"]}';

/** Profiles that are there, and do not deny when nothing else decides. */
export async function findDefaultDenies(compiler: Compiler, facts: Facts): Promise<PolicyProblem[]> {
  const all: PolicyProblem[] = [];
  for (const profile of PROFILES) all.push(...(await inProfile(compiler, facts, profile)));
  return all;
}

async function inProfile(compiler: Compiler, facts: Facts, profile: Profile): Promise<PolicyProblem[]> {
  const name = `data.lemma.${profile}`;
  const home = facts.parsed.packages.find((p) => p.package === name);
  if (home === undefined) return [];
  const rule = facts.parsed.rules.find((r) => r.package === name && r.name === 'decision' && r.default);
  if (rule === undefined)
    return [found(CODE, { file: home.file, row: 1 }, `${profile} has no default decision`, HINT)];
  const value = await defaultOf(compiler, facts, rule);
  const denies = typeof value === 'object' && value !== null && 'allow' in value && value.allow === false;
  if (denies) return [];
  return [found(CODE, rule, `the default decision of ${profile} does not deny`, HINT)];
}

/** A default that is no constant is a comprehension: OPA lets it refer to nothing, so that it can be evaluated alone. */
async function defaultOf(compiler: Compiler, { files, parsed }: Facts, rule: RuleFacts): Promise<unknown> {
  if (rule.value !== undefined) return rule.value;
  const next = Math.min(
    ...parsed.rules.filter((r) => r.file === rule.file && r.row > rule.row).map((r) => r.row),
  );
  const lines = (files.get(rule.file) ?? '').split('\n').slice(rule.row - 1, next - 1);
  const alone = new Map([['default.rego', `package default_alone\n\n${lines.join('\n')}\n`]]);
  const answer = await compiler.eval({ files: alone, query: 'data.default_alone.decision' });
  return answer.ok ? answer.result.value : undefined;
}
