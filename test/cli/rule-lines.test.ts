import assert from 'node:assert/strict';
import { type Page, ruleBlock, ruleRow } from '../../src/cli/rule-lines.ts';
import { widthOf } from '../../src/cli/source-line.ts';
import type { TracedRule } from '../../src/schema/api-explain.ts';

const plain: Page = { style: (_, text) => text, width: null };
const narrow = (width: number): Page => ({ ...plain, width });

const FRESH = 'fresh if lib.at_most(input.age_ms, settings.most)';

function rule(some: Partial<TracedRule> = {}): TracedRule {
  return {
    path: 'data.lemma.low.fresh',
    outcome: 'nearly',
    file: 'lemma/low/decision.rego',
    line_from: 55,
    line_to: 55,
    source: FRESH,
    default: false,
    evaluated: 1,
    held: 0,
    gives: null,
    at: { line: 55, column: 10, text: 'lib.at_most(input.age_ms, settings.most)' },
    would: { given: 'at', allow: true, reason: 'allowed', reasons: [] },
    values: [
      { line: 55, column: 22, text: 'input.age_ms', value: '7000' },
      { line: 55, column: 36, text: 'settings.most', value: null },
    ],
    ...some,
  };
}

/** One line of source that failed at its first character. */
const single = (source: string, values: TracedRule['values'] = []): TracedRule =>
  rule({ source, line_from: 1, line_to: 1, at: { line: 1, column: 1, text: source }, values });

describe('a rule, shown as a compiler shows an error', () => {
  it('has its place, its line, what did not hold, and what its expressions were', () => {
    assert.deepEqual(ruleBlock(rule(), plain), [
      'nearly  data.lemma.low.fresh',
      '  ┌─ lemma/low/decision.rego:55:10',
      '55 │ fresh if lib.at_most(input.age_ms, settings.most)',
      '   │          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ this did not hold',
      '   │                      │             └ settings.most is undefined',
      '   │                      └ input.age_ms = 7000',
      '   = had it held, the policy would have allowed',
    ]);
  });

  it('says of one that fired what it gave, and underlines nothing', () => {
    const at = { line: 55, column: 1, text: 'fresh' };
    const fired = rule({ outcome: 'fired', held: 1, gives: 'true', would: null, at, values: [] });
    assert.deepEqual(ruleBlock(fired, plain), [
      'fired   data.lemma.low.fresh gives true',
      '  ┌─ lemma/low/decision.rego:55:1',
      `55 │ ${FRESH}`,
    ]);
  });

  it('says how often it held, and what else was taken to hold', () => {
    const would = { given: 'rest', allow: false, reason: 'x_a', reasons: ['x_a', 'x_b'] } as const;
    const block = ruleBlock(rule({ evaluated: 3, would: { ...would, reasons: [...would.reasons] } }), plain);
    assert.deepEqual(block.slice(-2), [
      '   = had it held, and the rest of the rule, the policy would have denied: x_a, x_b',
      '   = looked at 3 times',
    ]);
  });

  it('leaves out the lines of a long rule that say nothing', () => {
    const body = Array.from({ length: 20 }, (_, i) => `\tinput.n != ${i}`);
    const long = rule({
      source: ['ok if {', ...body, '}'].join('\n'),
      line_from: 5,
      line_to: 26,
      at: { line: 15, column: 2, text: 'input.n != 9' },
      values: [{ line: 15, column: 2, text: 'input.n', value: '9' }],
      would: null,
    });
    assert.deepEqual(ruleBlock(long, plain).slice(2), [
      ' 5 │ ok if {',
      '   ┆',
      '15 │   input.n != 9',
      '   │   ^^^^^^^^^^^^ this did not hold',
      '   │   └ input.n = 9',
      '   ┆',
      '26 │ }',
    ]);
  });

  it('underlines the first line of an expression that goes on', () => {
    const source = 'ok if count([x |\n\tsome x in input.xs\n]) == 1';
    const block = ruleBlock(
      rule({
        source,
        line_from: 1,
        line_to: 3,
        at: { line: 1, column: 7, text: source.slice(6) },
        values: [],
        would: null,
      }),
      plain,
    );
    assert.equal(block[3], '  │       ^^^^^^^^^^ this did not hold');
  });

  describe('on a narrow terminal', () => {
    for (const width of [20, 40, 56, 80]) {
      it(`keeps to ${width} columns, or to the 32 that are the least`, () => {
        const source = `ok if input.name == "${'長'.repeat(60)}"`;
        const at = { line: 1, column: 7, text: source.slice(6) };
        const wide = rule({ source, line_from: 1, line_to: 1, at, values: [] });
        const widths = [rule(), wide].flatMap((one) => ruleBlock(one, narrow(width)).map(widthOf));
        assert.ok(Math.max(...widths) <= Math.max(width, 32), String(widths));
      });
    }

    it('shows a long line around what did not hold, its values beneath', () => {
      const source = `${'input.a; '.repeat(50)}input.b == 1`;
      const failed = rule({
        source,
        line_from: 1,
        line_to: 1,
        at: { line: 1, column: 451, text: 'input.b == 1' },
        values: [
          { line: 1, column: 1, text: 'input.a', value: '1' },
          { line: 1, column: 451, text: 'input.b', value: '2' },
        ],
        would: null,
      });
      assert.deepEqual(ruleBlock(failed, narrow(44)).slice(2), [
        '1 │ …put.a; input.b == 1',
        '  │         ^^^^^^^^^^^^ this did not hold',
        '  │         └ input.b = 2',
        '  │ = input.a = 1',
      ]);
    });

    it('names a place with no room for more', () => {
      assert.equal(ruleRow(rule(), narrow(32)), 'nearly  lemma/low/decision.rego:55');
    });
  });

  describe('of a hostile source', () => {
    const BIDI = '\u202e';

    it('writes out what steers a terminal or hides text', () => {
      const source = `ok if "\u001b[31m${BIDI}\u0007\u2028" == input.a`;
      const shown = ruleBlock(
        single(source, [{ line: 1, column: 1, text: source, value: `"${BIDI}"` }]),
        plain,
      );
      assert.equal(shown[2], '1 │ ok if "\\u{1b}[31m\\u{202e}\\u{7}\\u{2028}" == input.a');
      assert.doesNotMatch(shown.join(''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    });

    it('writes it out in names, files and reasons as well', () => {
      const would = { given: 'at', allow: false, reason: 'x', reasons: [`x${BIDI}`] } as const;
      const hostile = rule({
        path: `data.${BIDI}`,
        file: `${BIDI}.rego`,
        would: { ...would, reasons: [...would.reasons] },
      });
      const shown = [...ruleBlock(hostile, plain), ruleRow(hostile, plain)];
      assert.doesNotMatch(shown.join(''), /[\p{Cc}\p{Cf}]/u);
    });

    it('keeps marks below their expressions, behind wide and escaped characters', () => {
      const source = `"長${BIDI}" == input.a`;
      const shown = ruleBlock(single(source, [{ line: 1, column: 9, text: 'input.a', value: '1' }]), plain);
      const [line = '', , mark = ''] = shown.slice(2);
      assert.equal(widthOf(line.slice(0, line.indexOf('input.a'))), mark.indexOf('└'));
    });

    it('stands a mark that lies beyond its line', () => {
      const beyond = single('ok', [{ line: 1, column: 900, text: 'x', value: '1' }]);
      assert.deepEqual(ruleBlock(beyond, plain).at(-2), '  │   └ x = 1');
    });
  });
});
