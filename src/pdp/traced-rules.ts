import type { ClauseTold } from '../policy/compiler/answers.ts';
import type { TracedRule } from '../schema/api-explain.ts';
import type { DecisionRecord } from '../schema/decision.ts';

/** What a policy said, as far as an explanation compares it. */
type Said = Omit<NonNullable<TracedRule['would']>, 'given'>;

/**
 * What became of each rule, what decided first: the rules that gave the reasons, and the decision itself; then those
 * without whose failure it would have been another; then whatever else fired, nearly did, and failed.
 *
 * @param decision the rule that was asked for (`data.lemma.low.decision`)
 * @param answer what OPA answered
 */
export function tracedRules(
  clauses: readonly ClauseTold[],
  decision: string | null,
  answer: unknown,
): readonly TracedRule[] {
  const said = saidBy(answer);
  const ranked = clauses.map((clause) => {
    const rule = ruleOf(clause, said);
    return { rule, rank: rankOf(rule, decision, said) };
  });
  // A stable sort: within a rank it stays OPA's order.
  return ranked.sort((a, b) => a.rank - b.rank).map(({ rule }) => rule);
}

/** Whether the verdict turns, or a reason falls away, with what failed in a rule. */
function isDecisive({ would }: TracedRule, said: Said | null): boolean {
  if (would === null || said === null) return false;
  return would.allow !== said.allow || said.reasons.some((code) => !would.reasons.includes(code));
}

/** Those of which the verdict came: the reasons, the decision itself, and what would have turned it. */
export function decidingRules(
  { rules, decision }: { readonly rules: readonly TracedRule[] | null; readonly decision: string | null },
  { result }: Pick<DecisionRecord, 'result'>,
): readonly TracedRule[] {
  const said = saidBy(result);
  return (rules ?? []).filter((rule) => rankOf(rule, decision, said) <= RANK.decisive);
}

/** Null for what is no answer of a policy. */
function saidBy(answer: unknown): Said | null {
  if (typeof answer !== 'object' || answer === null) return null;
  const { allow, reason, reasons } = answer as Partial<Record<keyof Said, unknown>>;
  if (typeof allow !== 'boolean' || typeof reason !== 'string' || !Array.isArray(reasons)) return null;
  return { allow, reason, reasons: reasons.filter((code) => typeof code === 'string') };
}

function ruleOf(clause: ClauseTold, said: Said | null): TracedRule {
  const { only_last: onlyLast, would: answer, given = 'at', ...rest } = clause;
  const told = { ...rest, values: [...clause.values] };
  if (clause.held > 0) return { ...told, would: null, outcome: 'fired' };
  const other = saidBy(answer);
  const would = other === null ? null : { given, ...other };
  const failed: TracedRule = { ...told, would, outcome: 'failed' };
  const near = onlyLast || (given === 'at' && isDecisive(failed, said));
  return near ? { ...failed, outcome: 'nearly' } : failed;
}

const RANK = { reason: 0, decision: 100, decisive: 101, fired: 102, nearly: 103, failed: 104 } as const;

function rankOf(rule: TracedRule, decision: string | null, said: Said | null): number {
  if (rule.outcome === 'fired') {
    const place = said?.reasons.findIndex((code) => rule.gives === JSON.stringify(code)) ?? -1;
    // At most 64 reasons.
    if (place >= 0) return Math.min(RANK.reason + place, RANK.decision - 1);
    return rule.path === decision ? RANK.decision : RANK.fired;
  }
  if (isDecisive(rule, said)) return RANK.decisive;
  return RANK[rule.outcome];
}
