import assert from 'node:assert/strict';
import { explanationMarkdown, type Told } from '../../src/pdp/explain-markdown.ts';
import type { TracedRule } from '../../src/schema/api-explain.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';

const RESULT = { allow: false, reason: 'x_a', reasons: ['x_a'] };
const BUNDLE = { name: 'low', revision: 'low-3', sha256: 'ab'.repeat(32) };

const RULE: TracedRule = {
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
  values: [{ line: 7, column: 24, text: 'input.a', value: '1' }],
};

function told(rules: readonly TracedRule[] | null, more: Partial<Told> = {}): string {
  const record = { bundle: BUNDLE, result: RESULT } as unknown as DecisionRecord;
  return explanationMarkdown({
    decision_id: 'dec_1',
    verdict: 'deny',
    summary: 'Denied by the low policy, revision low-3: x_a.',
    bundle: BUNDLE,
    evaluated_again: { equal: true, error: null },
    trace: { decision: 'data.lemma.low.decision', rules, traced: 'equal', error: null },
    record,
    ...more,
  });
}

describe('an explanation as Markdown', () => {
  it('has the decision, the policy, and each rule that decided', () => {
    assert.equal(
      told([RULE, { ...RULE, outcome: 'failed', gives: null, held: 0 }]),
      `## Denied: \`dec_1\`

Denied by the low policy, revision low\\-3\\: x\\_a.

Policy \`low-3\`, SHA-256 \`${BUNDLE.sha256}\`.

Evaluated again: equal, byte for byte.

### Fired: \`data.lemma.low.deny\` gives \`"x_a"\`

\`lemma/low/own.rego:7\`

\`\`\`rego
deny contains "x_a" if input.a == 1
\`\`\`

| line | expression | value |
|---|---|---|
| 7 | \`input.a\` | \`1\` |

1 other rules were looked at.
`,
    );
  });

  it('lets no source out of its fence', () => {
    const source = 'x := `\n````\n# not a heading\n`';
    assert.match(told([{ ...RULE, source }]), /^`````rego\nx := `\n````\n# not a heading\n`\n`````$/m);
  });

  it('lets no value out of its cell, nor its span', () => {
    const value = '"a|`b`\n| <img src=x>"';
    assert.match(
      told([{ ...RULE, values: [{ line: 7, column: 1, text: 'input.a', value }] }]),
      /^\| 7 \| `input\.a` \| ``"a\\\|`b` \\\| <img src=x>"`` \|$/m,
    );
  });

  it('takes nothing in a summary for markup', () => {
    const shown = told([], { summary: 'no <img src=x> [a](javascript:1) **b** `c`\n# d \u202e' });
    assert.match(
      shown,
      /no \\<img src=x\\> \\\[a\\\]\\\(javascript\\:1\\\) \\\*\\\*b\\\*\\\* \\`c\\` \\# d \\\\u\\{202e\\}/,
    );
  });

  it('says loudly that the trace is of another result', () => {
    const trace = { decision: 'data.lemma.low.decision', rules: [RULE], error: null };
    assert.match(told([], { trace: { ...trace, traced: 'different' } }), /^\*\*traced: different/m);
  });

  it('says why it shows no rules', () => {
    const trace = { decision: null, rules: null, traced: null, error: 'it took more than 5 steps' };
    const shown = told([], { trace });
    assert.match(shown, /^No rules are shown: it took more than 5 steps$/m);
  });
});
