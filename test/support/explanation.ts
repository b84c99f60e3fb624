import type { TracedRule } from '../../src/schema/api-explain.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import type { Explanation, Trace } from '../../src/schema/explanation.ts';
import { allowedInput } from '../policy/support.ts';

/** A denial by one rule, `x_a`, explained. */

export const RESULT = { allow: false, reason: 'x_a', reasons: ['x_a'] };
export const BUNDLE = { name: 'low', revision: 'low-3', sha256: 'ab'.repeat(32) };

export const RULE: TracedRule = {
  path: 'data.lemma.low.deny',
  outcome: 'fired',
  file: 'lemma/low/own.rego',
  line_from: 7,
  line_to: 7,
  source: 'deny contains "x_a" if input.a == 1',
  default: false,
  evaluated: 1,
  held: 1,
  gives: '"x_a"',
  at: { line: 7, column: 1, text: 'deny' },
  would: null,
  values: [],
};

export const TRACE: Trace = {
  mode: 'rules',
  evaluator: 'OPA 1',
  decision: 'data.lemma.low.decision',
  lines: [],
  rules: [RULE],
  cut: false,
  equal: true,
  traced: 'equal',
  error: null,
};

export function explanation(
  some: Partial<Explanation> = {},
  input: object = allowedInput('low'),
): Explanation {
  return {
    decision_id: 'dec_1',
    verdict: 'deny',
    reason: 'x_a',
    stage: 'policy',
    summary: 'Denied.',
    failed: null,
    rules: [{ code: 'x_a', file: 'lemma/low/own.rego', line: 7, rego: RULE.source }],
    evaluated_again: { result: RESULT, equal: true, error: null },
    policy_today: { bundle: BUNDLE, result: RESULT, equal: true, error: null },
    trace: TRACE,
    chain: [],
    bundle: { ...BUNDLE, rego: null },
    events: [],
    record: { bundle: BUNDLE, result: RESULT, input } as unknown as DecisionRecord,
    amended: [],
    ...some,
  };
}
