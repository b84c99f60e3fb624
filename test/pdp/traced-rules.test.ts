import assert from 'node:assert/strict';
import { decidingRules, tracedRules } from '../../src/pdp/traced-rules.ts';
import type { ClauseTold } from '../../src/policy/compiler/answers.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';

/** What they are of the embedded profiles: traced-profiles.test.ts. */
describe('the rules behind a decision', () => {
  describe('in order', () => {
    const DENIED = { allow: false, reason: 'a', reasons: ['a', 'b'] };
    const place = { line: 1, column: 1, text: 'x' };
    const clause = (some: Partial<ClauseTold>): ClauseTold => ({
      path: 'data.lemma.low.deny',
      file: 'a.rego',
      line_from: 1,
      line_to: 1,
      source: 'x',
      default: false,
      evaluated: 1,
      held: 0,
      gives: null,
      at: place,
      only_last: false,
      values: [],
      ...some,
    });
    const ruled = (...clauses: Partial<ClauseTold>[]) =>
      tracedRules(clauses.map(clause), 'data.lemma.low.decision', DENIED);

    it('are reasons, the decision, what would turn it, then what fired, nearly did, failed', () => {
      const rules = ruled(
        { file: 'failed' },
        { file: 'nearly', only_last: true },
        { file: 'fired', held: 1, gives: 'true' },
        { file: 'turns', would: { allow: true, reason: 'allowed', reasons: [] } },
        { file: 'decision', held: 1, path: 'data.lemma.low.decision' },
        { file: 'b', held: 1, gives: '"b"' },
        { file: 'a', held: 1, gives: '"a"' },
      );
      assert.deepEqual(
        rules.map(({ file, outcome }) => [file, outcome]),
        [
          ['a', 'fired'],
          ['b', 'fired'],
          ['decision', 'fired'],
          ['turns', 'nearly'],
          ['fired', 'fired'],
          ['nearly', 'nearly'],
          ['failed', 'failed'],
        ],
      );
    });

    it('count as near what one reason hangs on, and not what would add one', () => {
      const outcomes = ruled(
        { would: { ...DENIED, reasons: ['b'] } },
        { would: { ...DENIED, reasons: ['a', 'b', 'c'] } },
      ).map(({ outcome }) => outcome);
      assert.deepEqual(outcomes, ['nearly', 'failed']);
    });

    const NONE: readonly (readonly [what: string, would: unknown])[] = [
      ['null', null],
      ['a text', 'allow'],
      ['without a verdict', { allow: 'yes', reason: 'a', reasons: [] }],
      ['without a reason', { allow: true, reason: 1, reasons: [] }],
      ['without reasons', { allow: true, reason: 'a', reasons: 'a' }],
    ];
    for (const [what, would] of NONE)
      it(`tell no answer that is none: ${what}`, () => {
        const [rule] = ruled({ would });
        assert.deepEqual([rule?.would, rule?.outcome], [null, 'failed']);
      });

    it('tell of an answer the reasons that are texts', () => {
      const [rule] = ruled({ would: { allow: false, reason: 'c', reasons: ['c', 1] } });
      assert.deepEqual(rule?.would, { given: 'at', allow: false, reason: 'c', reasons: ['c'] });
    });

    it('count as near what would turn the verdict and keep the reasons', () => {
      const [rule] = ruled({ would: { ...DENIED, allow: true } });
      assert.equal(rule?.outcome, 'nearly');
    });

    it('count nothing as near to an answer that is none', () => {
      const would = { allow: true, reason: 'allowed', reasons: [] };
      const [rule] = tracedRules([clause({ would })], null, undefined);
      assert.deepEqual([rule?.outcome, rule?.would?.allow], ['failed', true]);
    });

    it('have the values of what they name', () => {
      const values = [{ line: 1, column: 2, text: 'input.a', value: '1' }];
      assert.deepEqual(ruled({ values })[0]?.values, values);
    });

    it('do not count as near what lacks more than one expression', () => {
      const [rule] = ruled({ given: 'rest', would: { allow: true, reason: 'allowed', reasons: [] } });
      assert.deepEqual([rule?.outcome, rule?.would?.given], ['failed', 'rest']);
    });

    it('are the decision, then what fired, then what failed, where there is no answer', () => {
      const clauses = [
        { file: 'failed' },
        { file: 'fired', held: 1 },
        { file: 'decision', held: 1, path: 'data.d' },
      ];
      const rules = tracedRules(clauses.map(clause), 'data.d', null);
      assert.deepEqual(
        rules.map(({ file }) => file),
        ['decision', 'fired', 'failed'],
      );
    });

    it('have more reasons than there are places before the decision', () => {
      const reasons = Array.from({ length: 120 }, (_, n) => `r${n}`);
      const gave = { held: 1, gives: '"r110"', file: 'reason' };
      const rules = tracedRules(
        [clause({ held: 1, path: 'data.d', file: 'decision' }), clause(gave)],
        'data.d',
        { allow: false, reason: 'r0', reasons },
      );
      assert.deepEqual(
        rules.map(({ file }) => file),
        ['reason', 'decision'],
      );
    });

    it('that decided are the reasons, the decision and what would have turned it', () => {
      const rules = ruled(
        { file: 'failed' },
        { file: 'nearly', only_last: true },
        { file: 'fired', held: 1, gives: 'true' },
        { file: 'turns', would: { allow: true, reason: 'allowed', reasons: [] } },
        { file: 'decision', held: 1, path: 'data.lemma.low.decision' },
        { file: 'a', held: 1, gives: '"a"' },
      );
      const record = { result: DENIED } as Pick<DecisionRecord, 'result'>;
      const trace = { rules, decision: 'data.lemma.low.decision' };
      assert.deepEqual(
        decidingRules(trace, record).map(({ file }) => file),
        ['a', 'decision', 'turns'],
      );
      assert.deepEqual(decidingRules({ ...trace, rules: null }, record), []);
    });
  });
});
