import { PROFILES } from '../../schema/common.ts';
import type { PolicyProblem, RuleFacts } from '../compiler/answers.ts';
import type { Compiler } from '../compiler/compiler.ts';
import type { Facts } from '../lint.ts';
import { isDenialCode, isRego, isTestFile, type Sources } from '../policy-files.ts';
import { found } from './found.ts';

/** Denial codes that are named and never given, or given and not known. */
export async function findReasons(compiler: Compiler, facts: Facts): Promise<PolicyProblem[]> {
  const denials = facts.parsed.rules.filter((rule) => rule.name === 'deny' && !isTestFile(rule.file));
  return [...denials.flatMap(unknown), ...(await findUnproduced(compiler, facts, denials))];
}

function unknown(rule: RuleFacts): PolicyProblem[] {
  if (rule.head_key === null || isDenialCode(rule.head_key)) return [];
  const message = `"${rule.head_key}" is none that a policy may deny with`;
  return [
    found('lint_reason_unknown', rule, message, 'take one of the known codes, or begin your own with x_'),
  ];
}

/** Undecidable, and passed over, where a denial computes its code, or a profile that shares the list is not there. */
async function findUnproduced(
  compiler: Compiler,
  { files, parsed }: Facts,
  denials: readonly RuleFacts[],
): Promise<PolicyProblem[]> {
  const listed = parsed.rules.filter((rule) => rule.name === 'precedence' && !isTestFile(rule.file));
  const whole = PROFILES.every((profile) =>
    parsed.packages.some((p) => p.package === `data.lemma.${profile}`),
  );
  if (!whole || denials.some((rule) => rule.head_key === null)) return [];
  const produced = new Set<unknown>(denials.map((rule) => rule.head_key));
  const all: PolicyProblem[] = [];
  for (const rule of listed) {
    const codes = await codesOf(compiler, files, rule);
    for (const code of codes) {
      if (produced.has(code)) continue;
      const place = { file: rule.file, row: rowOf(files.get(rule.file) ?? '', rule.row, code) };
      const hint = 'write the rule that denies with it, or take the code out';
      all.push(found('lint_reason_unproduced', place, `no rule denies with "${code}"`, hint));
    }
  }
  return all;
}

async function codesOf(compiler: Compiler, files: Sources, rule: RuleFacts): Promise<unknown[]> {
  if (rule.value !== undefined) return Array.isArray(rule.value) ? rule.value : [];
  const rego = new Map([...files].filter(([path]) => isRego(path) && !isTestFile(path)));
  const answer = await compiler.eval({ files: rego, query: `${rule.package}.precedence` });
  return answer.ok && Array.isArray(answer.result.value) ? answer.result.value : [];
}

function rowOf(text: string, from: number, code: unknown): number {
  const at = text.split('\n').findIndex((line, i) => i >= from - 1 && line.includes(JSON.stringify(code)));
  return at === -1 ? from : at + 1;
}
