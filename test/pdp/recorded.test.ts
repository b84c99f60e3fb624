import assert from 'node:assert/strict';
import fc from 'fast-check';
import { printable } from '../../src/decision-log/record.ts';
import { failureIn, inputIn, reproduces } from '../../src/pdp/recorded.ts';
import { Denial } from '../../src/reason.ts';
import type { PolicyResult } from '../../src/schema/result.ts';

const RESULT: PolicyResult = { allow: false, reason: 'x_own', reasons: ['x_own'] };
const FAILED = { check: 'policy_timeout', message: 'too many steps', facts: {} } as const;

const lineOf = (input: object, resultJson = JSON.stringify(RESULT)) =>
  `{"v":1,"input":${printable(JSON.stringify(input))},"result":${printable(resultJson)},"took_us":{}}`;

describe('a recorded evaluation', () => {
  describe('has its input read back', () => {
    it('whatever it holds, at the place where it stands', () => {
      const jsonObject = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue());
      fc.assert(
        fc.property(jsonObject, (input) => {
          const read = JSON.parse(JSON.stringify(input));
          const line = lineOf(read);
          const text = inputIn(line, read);
          assert.deepEqual(text && JSON.parse(text.json), read);
          assert.equal(line.slice(text?.end).startsWith(',"result":'), true);
        }),
      );
    });

    it('past a member of the same name, and a value that begins alike', () => {
      const input = { a: 1 };
      const line = `{"facts":{"input":{"a":1}},"input":{"a":1},"result":null,"took_us":{}}`;
      assert.equal(inputIn(line, input)?.end, line.indexOf(',"result":'));
    });

    it('not where the line holds other bytes', () => {
      assert.equal(inputIn(lineOf({ a: 1 }).replace('"a":1', '"a":1.0'), { a: 1 }), null);
    });

    it('not where something else comes after it', () => {
      assert.equal(inputIn('{"input":{"a":1},"more":0,"result":null}', { a: 1 }), null);
    });
  });

  describe('failed', () => {
    for (const check of ['policy_timeout', 'policy_error'] as const)
      it(`by ${check}`, () => {
        assert.equal(failureIn({ result: null, failed: { ...FAILED, check } }), check);
      });

    it('not where a check stopped it', () => {
      assert.equal(failureIn({ result: null, failed: { ...FAILED, check: 'overloaded' } }), null);
    });

    it('not where it came to a result, and failed was something after it', () => {
      assert.equal(failureIn({ result: RESULT, failed: FAILED }), null);
    });

    it('not where nothing failed', () => {
      assert.equal(failureIn({ result: null, failed: null }), null);
    });
  });

  describe('is reproduced', () => {
    const input = { a: 1 };
    const came = (resultJson: string) => ({ resultJson });
    const again = (line: string, failure: string | null, evaluation: Parameters<typeof reproduces>[3]) => {
      const text = inputIn(line, input);
      assert.ok(text !== null);
      return reproduces(line, text, failure, evaluation);
    };

    it('by the same bytes', () => {
      assert.equal(again(lineOf(input), null, came(JSON.stringify(RESULT))), true);
    });

    it('by the same bytes where the line has them escaped', () => {
      const json = JSON.stringify({ ...RESULT, headers: { a: '\u2028' } });
      assert.equal(again(lineOf(input, json), null, came(json)), true);
    });

    it('not by another result, nor by the beginning of it', () => {
      assert.equal(again(lineOf(input), null, came(JSON.stringify({ ...RESULT, allow: true }))), false);
      assert.equal(again(lineOf(input, '{"a":1}{"b":2}'), null, came('{"a":1}')), false);
    });

    it('by the same failure, and no other', () => {
      const line = lineOf(input, 'null');
      assert.equal(again(line, 'policy_error', new Denial('policy_error', 'a')), true);
      assert.equal(again(line, 'policy_error', new Denial('policy_timeout', 'a')), false);
    });

    it('not by a failure where there was a result', () => {
      assert.equal(again(lineOf(input), null, new Denial('policy_error', 'a')), false);
    });
  });
});
