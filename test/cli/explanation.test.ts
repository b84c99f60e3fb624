import assert from 'node:assert/strict';
import { explanationLines } from '../../src/cli/explanation.ts';
import type { TracedRule } from '../../src/schema/api-explain.ts';
import type { Explanation, Trace } from '../../src/schema/explanation.ts';
import { allowedInput, merged } from '../policy/support.ts';
import { BUNDLE, explanation, RESULT, RULE, TRACE } from '../support/explanation.ts';

const OTHER = { ...BUNDLE, revision: 'low-4', sha256: 'cd'.repeat(32) };

const terminal = {
  line: () => undefined,
  note: () => undefined,
  progress: () => undefined,
  write: async () => undefined,
  style: (_: unknown, text: string) => text,
  styleNote: (_: unknown, text: string) => text,
  interactive: false,
  width: null,
};
const linesOf = (one: Explanation, all = false) => explanationLines({ terminal }, one, all);
const rowOf = (label: string, one: Explanation) =>
  linesOf(one).find((line) => line.startsWith(`  ${label.padEnd(8)} `));

describe('an explanation for a person', () => {
  it('shows the rules of a trace in the place of those that the manifest names', () => {
    const lines = linesOf(explanation());
    assert.deepEqual(lines.slice(2, 6), [
      '',
      '  fired   data.lemma.low.deny gives "x_a"',
      '   ┌─ lemma/low/own.rego:7:1',
      '  7 │ deny contains "x_a" if input.a == 1',
    ]);
    assert.equal(rowOf('rule', explanation()), undefined);
  });

  it('shows those of the manifest where there is no trace, with nothing hidden in them', () => {
    const rules = [{ code: 'x_a', file: 'a.rego', line: 1, rego: 'x := "\u001b[8m\u202e"' }] as const;
    const lines = linesOf(explanation({ trace: { ...TRACE, rules: null, error: 'no compiler' }, rules }));
    assert.ok(lines.includes('           x := "\\u{1b}[8m\\u{202e}"'));
    assert.ok(lines.includes('  trace    no compiler'));
  });

  it('says loudly that a trace is of another result', () => {
    const trace: Trace = { ...TRACE, equal: false, traced: 'different' };
    assert.match(linesOf(explanation({ trace }))[2] ?? '', /^ {2}traced: different: /);
  });

  it('shows other rules on a line each, and all of them with theirs where that is asked for', () => {
    const failed: TracedRule = { ...RULE, outcome: 'failed', held: 0, gives: null, line_from: 9, line_to: 9 };
    const one = explanation({
      trace: { ...TRACE, rules: [RULE, { ...failed, at: { line: 9, column: 1, text: 'no' } }] },
    });
    assert.ok(linesOf(one).includes('  failed  lemma/low/own.rego:9 no'));
    assert.ok(linesOf(one, true).includes('   ┌─ lemma/low/own.rego:9:1'));
  });

  it('says once that a check decided', () => {
    const trace = { ...TRACE, rules: null, error: 'a check decided' };
    const one = explanation({ trace, bundle: null, evaluated_again: null, rules: [] });
    assert.equal(rowOf('again', one), '  again    a check decided, before any policy');
    assert.equal(rowOf('trace', one), undefined);
  });

  it('says that there are more', () => {
    assert.ok(linesOf(explanation({ trace: { ...TRACE, cut: true } })).includes('  … and more'));
  });

  it('shows the state that was known', () => {
    const input = merged(allowedInput('low'), {
      budget: { limit: 5, used: 4 },
      freshness: { age_ms: 12, source: 'lease', confirmed: false },
    });
    const lines = linesOf(explanation({}, input));
    const at = lines.findIndex((line) => line.startsWith('  state '));
    assert.deepEqual(lines.slice(at, at + 3), [
      '  state    runtime bot-1 is active; taint epoch 3, of the proof 3',
      '           kills and taints known up to 12 ms before (lease)',
      '           budget: 4 of 5',
    ]);
  });

  for (const [what, today, said] of [
    ['the same revision', { bundle: BUNDLE, result: RESULT, error: null }, 'the same revision is active'],
    [
      'another',
      { bundle: OTHER, result: { allow: true, reason: 'allowed', reasons: [] }, error: null },
      'revision low-4, which is active now (the policy alone, on the input of then) allows',
    ],
    [
      'one that fails',
      { bundle: OTHER, result: null, error: 'it broke' },
      'revision low-4, which is active now (the policy alone, on the input of then): it broke',
    ],
    [
      'none',
      { bundle: null, result: null, error: 'no policy is loaded' },
      'no policy is active: no policy is loaded',
    ],
  ] as const) {
    it(`says what the policy would say today: ${what}`, () => {
      const one = explanation({
        policy_today: { ...structuredClone(today), equal: false } as Explanation['policy_today'],
      });
      assert.equal(rowOf('today', one), `  today    ${said}`);
    });
  }
});
