import assert from 'node:assert/strict';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { canonicalJson } from '../../src/crypto/jcs.ts';
import rfc8785 from '../vectors/rfc8785.json' with { type: 'json' };

describe('canonicalJson', () => {
  for (const [i, { input, output }] of rfc8785.documents.entries()) {
    it(`writes sample ${i + 1} of RFC 8785`, () => assert.equal(canonicalJson(JSON.parse(input)), output));
  }

  for (const [bits, text] of rfc8785.numbers) {
    it(`writes the number ${bits} of RFC 8785, appendix B`, () => {
      assert.equal(canonicalJson(Buffer.from(bits ?? '', 'hex').readDoubleBE()), text);
    });
  }

  it('agrees with `canonicalize` on any JSON', () => {
    const members = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('__proto__', 'toJSON', '\u0080', '\ufb33', '😀'),
    );
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { maxDepth: 4 },
        fc.string({ unit: 'binary' }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.constantFrom(null, true, false),
        fc.array(tie('json')),
        fc.dictionary(members, tie('json'), { noNullPrototype: false }),
      ),
    }));
    fc.assert(fc.property(json, (value) => assert.equal(canonicalJson(value), canonicalize(value))));
  });

  for (const [name, value, message] of [
    ['undefined', undefined, 'the value is undefined'],
    ['an undefined member', { a: [{ b: undefined }] }, '.a[0].b is undefined'],
    ['a hole in an array', Array(1), '[0] is undefined'],
    ['NaN', { a: Number.NaN }, '.a is NaN'],
    ['an infinity', [Number.NEGATIVE_INFINITY], '[0] is -Infinity'],
    ['a bigint', 1n, 'the value is bigint'],
    ['a symbol', [Symbol('s')], '[0] is symbol'],
    ['a function', { f: () => 1 }, '.f is function'],
    ['a lone surrogate', { a: '\ud800' }, '.a is a lone surrogate'],
    ['a date', { at: new Date(0) }, '.at is not a plain object'],
    ['a map', new Map(), 'the value is not a plain object'],
    ['bytes', new Uint8Array(1), 'the value is not a plain object'],
  ] as const) {
    it(`refuses ${name}, and says where`, () => {
      assert.throws(() => canonicalJson(value), {
        name: 'TypeError',
        message: `no canonical JSON: ${message}`,
      });
    });
  }

  it('refuses a lone surrogate in a key', () => {
    assert.throws(() => canonicalJson({ '\udc00': 1 }), /lone surrogate/);
  });

  it('refuses a cycle', () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    assert.throws(() => canonicalJson(cycle), /deeper than 512, or a cycle/);
  });

  it('writes one value that stands twice', () => {
    const shared = { a: 1 };
    assert.equal(canonicalJson([shared, shared]), '[{"a":1},{"a":1}]');
  });
});
