import assert from 'node:assert/strict';
import { cell, code, explanationMarkdown, fenced, type Told } from '../../src/pdp/explain-markdown.ts';
import type { TracedRule } from '../../src/schema/api-explain.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import { BUNDLE, RULE as DECIDING, RESULT } from '../support/explanation.ts';

const RULE: TracedRule = {
  ...DECIDING,
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

  it('is of an allow without a rule that decided, and of what a check denied before the policy', () => {
    assert.equal(
      told(null, {
        verdict: 'allow',
        summary: 'Allowed',
        bundle: null,
        evaluated_again: null,
        trace: null,
      }),
      '## Allowed: `dec_1`\n\nAllowed\n',
    );
  });

  for (const [error, said] of [
    ['too many steps', 'too many steps'],
    [null, 'another result'],
  ] as const)
    it(`says loudly that it did not come to the same again: ${said}`, () => {
      const shown = told([], { evaluated_again: { equal: false, error } });
      assert.ok(shown.includes(`\n**Evaluated again: ${said}**\n`));
    });

  it('says what a rule lacked, and what it would have decided with that', () => {
    const failed: TracedRule = { ...RULE, outcome: 'nearly', gives: null, held: 0, values: [] };
    const would: TracedRule['would'] = { allow: true, reason: 'allowed', reasons: [], given: 'at' };
    const denying: TracedRule['would'] = {
      ...{ allow: false, reason: 'x_b', reasons: ['x_b', 'x_c'] },
      given: 'rest',
    };
    const shown = told([
      { ...failed, would },
      { ...failed, path: 'data.lemma.low.other', would: denying },
    ]);
    assert.ok(
      shown.endsWith(`
### Nearly fired: \`data.lemma.low.deny\`

\`lemma/low/own.rego:7\`

\`\`\`rego
deny contains "x_a" if input.a == 1
\`\`\`

Line 7 did not hold: \`deny\`

Had it held, the policy would have allowed.

### Nearly fired: \`data.lemma.low.other\`

\`lemma/low/own.rego:7\`

\`\`\`rego
deny contains "x_a" if input.a == 1
\`\`\`

Line 7 did not hold: \`deny\`

Had it held, and the rest of the rule, the policy would have denied: \`x_b\`, \`x_c\`.
`),
      shown,
    );
  });

  it('has a value that is undefined as such', () => {
    const values = [{ line: 7, column: 1, text: 'input.b', value: null }];
    assert.match(told([{ ...RULE, values }]), /^\| 7 \| `input\.b` \| undefined \|$/m);
  });

  it('has twelve rules at most, and counts the others', () => {
    const shown = told(Array.from({ length: 15 }, () => RULE));
    assert.equal(shown.match(/^### Fired/gm)?.length, 12);
    assert.match(shown, /\n3 other rules were looked at\.\n$/);
  });

  it('counts no others where none of the rules decided', () => {
    assert.doesNotMatch(told([{ ...RULE, outcome: 'failed', gives: null, held: 0 }]), /other rules/);
  });

  it('has white space of a summary as one space', () => {
    assert.match(told([], { summary: 'a \n\t b' }), /^a b$/m);
  });
});

describe('a text in a span of code', () => {
  for (const [what, text, span] of [
    ['plain', 'a', '`a`'],
    ['empty', '', '`  `'],
    ['with a backtick before it', '`a', '`` `a ``'],
    ['with a backtick behind it', 'a`', '`` a` ``'],
    ['with backticks within it', 'a``b`c', '```a``b`c```'],
    ['over lines', 'a  \n  b\tc', '`a b c`'],
    ['that steers a terminal', '\u001b[2J', '`\\u{1b}[2J`'],
  ] as const)
    it(`${what} stays within it`, () => {
      assert.equal(code(text), span);
    });

  it('ends no cell of a table', () => {
    assert.equal(cell('a|b'), '`a\\|b`');
  });
});

describe('Rego in a fence', () => {
  it('keeps its lines and tabs, and shows what is hidden', () => {
    assert.equal(fenced('a\tb\n\u202ec'), '```rego\na\tb\n\\u{202e}c\n```');
  });
});
