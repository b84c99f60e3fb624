import assert from 'node:assert/strict';
import fc from 'fast-check';
import { JsonError, type JsonOptions, readJson, readJsonText } from '../../src/crypto/json.ts';

const exact: JsonOptions = { maxDepth: 64, numbers: 'exact' };
const integer: JsonOptions = { maxDepth: 8, numbers: 'integer' };
const encode = (text: string) => new TextEncoder().encode(text);

/** Compares whatever the prototypes: the reader's objects have none. */
const asText = (value: unknown) => JSON.stringify(value);

describe('readJson', () => {
  const documents = fc.json({ maxDepth: 5 }).filter((text) => !refusedOnPurpose(text));

  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(documents, (text) =>
        assert.equal(asText(readJson(encode(text), exact).value), asText(JSON.parse(text))),
      ),
    );
  });

  it('reads it with white space, and with everything escaped', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (value) => {
        const escaped = Array.from(
          { length: value.length },
          (_, i) => `\\u${value.charCodeAt(i).toString(16).padStart(4, '0')}`,
        );
        const text = ` \t\r\n{ "a" :\n[ "${escaped.join('')}" , ${JSON.stringify(value)} ] }\n`;
        assert.equal(asText(readJson(encode(text), exact).value), asText({ a: [value, value] }));
      }),
    );
  });

  it('refuses exactly what JSON.parse refuses, among small texts', () => {
    const pieces = fc.constantFrom(
      ...'{}[]:,"\\ue1.-+ \n',
      '0',
      'true',
      'null',
      '"a"',
      '\\u00',
      'é',
      '\u2028',
      '\t',
      '\f',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
        const text = parts.join('');
        if (refusedOnPurpose(text)) return;
        assert.equal(
          accepts(() => readJsonText(text, exact)),
          accepts(() => JSON.parse(text)),
          text,
        );
      }),
      { numRuns: 5000 },
    );
  });

  it('gives the text and the bytes one reading', () => {
    const text = '{"a":[1,"é😀"]}';
    assert.deepEqual(readJsonText(text, integer), readJson(encode(text), integer));
  });

  it('gives objects no prototype', () => {
    assert.equal(Object.getPrototypeOf(readJsonText('{}', integer).value), null);
  });

  it('makes `__proto__` a member like any other', () => {
    const { value } = readJsonText('{"__proto__":{"admin":1}}', integer);
    assert.deepEqual(Object.keys(value ?? {}), ['__proto__']);
  });

  it('takes whole numbers up to 2^53 - 1 either way', () => {
    assert.deepEqual(
      readJsonText('[9007199254740991,-9007199254740991,0]', integer).value,
      [9007199254740991, -9007199254740991, 0],
    );
  });

  it('takes fractions and exponents where numbers are exact', () => {
    assert.deepEqual(readJsonText('[1.5,-2e3,1E+2,0.0,1e20]', exact).value, [1.5, -2000, 100, 0, 1e20]);
  });

  it('takes as much depth as is allowed', () => {
    assert.equal(asText(readJsonText('[[[[[[[{}]]]]]]]', integer).value), '[[[[[[[{}]]]]]]]');
  });

  it('reads a credential of 3 KB within 500 us', function () {
    // A bound far over what it takes (about 20 us), so that only another order of growth fails it.
    this.retries(3);
    const credential = encode(
      JSON.stringify(
        Array.from({ length: 6 }, (_, i) => ({
          id: `lem_${i}`,
          scope: ['a.b', 'c.*'],
          text: 'x'.repeat(380),
          n: i,
        })),
      ),
    );
    for (let i = 0; i < 500; i++) readJson(credential, integer);
    const started = process.hrtime.bigint();
    for (let i = 0; i < 200; i++) readJson(credential, integer);
    const each = Number(process.hrtime.bigint() - started) / 200 / 1000;
    assert.ok(each < 500, `${each} us`);
  });
});

describe('readJson refuses', () => {
  const refusals: readonly [string, string, string][] = [
    ['nothing', '', 'the text ends where a value should be at 0'],
    ['white space alone', ' \n', 'the text ends where a value should be at 2'],
    ['a byte order mark', '\ufeff{}', 'byte order mark at 0'],
    ['trailing bytes', '{}x', 'expected the end, found "x" at 2'],
    ['a second value', '{} {}', 'expected the end, found "{" at 3'],
    ['NUL at the end', '{}\0', 'expected the end, found "\\u0000" at 2'],
    ['a trailing comma in an object', '{"a":1,}', 'expected a key in double quotes, found "}" at 7'],
    ['a trailing comma in an array', '[1,]', 'expected a value, found "]" at 3'],
    ['a key without quotes', '{a:1}', 'expected a key in double quotes, found "a" at 1'],
    ['single quotes', "['a']", 'expected a value, found "\'" at 1'],
    ['a missing colon', '{"a" 1}', 'expected ":", found "1" at 5'],
    ['a missing comma', '[1 2]', 'expected "," or "]", found "2" at 3'],
    ['an open object', '{"a":1', 'the text ends where "," or "}" should be at 6'],
    ['an open string', '["a', 'unterminated string at 1'],
    ['a comment', '[/**/]', 'expected a value, found "/" at 1'],
    ['a white space of Unicode', '[\u00a01]', 'expected a value, found "\u00a0" at 1'],
    ['a control character in a string', '"a\nb"', 'control character in a string at 2'],
    ['an unknown escape', '"\\x41"', 'unknown escape at 1'],
    ['a short \\u escape', '"\\u12"', 'malformed \\u escape at 1'],
    ['a signed \\u escape', '"\\u+123"', 'malformed \\u escape at 1'],
    ['a lone high surrogate', '"\\ud800"', 'lone surrogate at 1'],
    ['a lone low surrogate', '"\\udc00"', 'lone surrogate at 1'],
    ['two high surrogates', '"\\ud800\\ud800"', 'lone surrogate at 1'],
    ['two low surrogates', '"\\udc00\\udc00"', 'lone surrogate at 1'],
    ['surrogates in the wrong order', '"\\udc00\\ud800"', 'lone surrogate at 1'],
    ['a lone surrogate in a key', '{"\\ud800":1}', 'lone surrogate at 2'],
    ['a misspelt word', '[True]', 'expected a value, found "T" at 1'],
    ['a word that goes on', '[nullx]', 'expected "," or "]", found "x" at 5'],
    ['NaN', '[NaN]', 'expected a value, found "N" at 1'],
    ['an infinity', '[-Infinity]', 'malformed number at 1'],
    ['a leading zero', '[01]', 'expected "," or "]", found "1" at 2'],
    ['a leading plus', '[+1]', 'expected a value, found "+" at 1'],
    ['a leading point', '[.5]', 'expected a value, found "." at 1'],
    ['a hexadecimal number', '[0x1]', 'expected "," or "]", found "x" at 2'],
    ['2^53', '[9007199254740992]', 'an integer outside ±(2^53 − 1) at 1'],
    ['-2^53', '[-9007199254740992]', 'an integer outside ±(2^53 − 1) at 1'],
    ['-0', '[-0]', '-0 at 1'],
    ['nine levels', '[[[[[[[[[]]]]]]]]]', 'deeper than 8 at 8'],
  ];

  for (const [name, text, message] of refusals) {
    it(name, () => assert.throws(() => readJson(encode(text), integer), { name: 'JsonError', message }));
  }

  for (const number of ['1.5', '1.0', '1e3', '1E0', '-1.5', '1e400']) {
    it(`${number} where only integers are taken`, () => {
      assert.throws(() => readJsonText(number, integer), {
        name: 'JsonError',
        message: 'not a plain integer at 0',
      });
    });
  }

  for (const [number, message] of [
    ['1e400', 'a number too large at 0'],
    ['-0.0', '-0 at 0'],
    ['-0e1', '-0 at 0'],
    ['-1e-400', '-0 at 0'],
    ['9007199254740993', 'an integer outside ±(2^53 − 1) at 0'],
  ] as const) {
    it(`${number} where numbers are exact`, () => {
      assert.throws(() => readJsonText(number, exact), { name: 'JsonError', message });
    });
  }

  for (const [name, bytes] of [
    ['a stray continuation byte', [0x22, 0x80, 0x22]],
    ['an overlong slash', [0x22, 0xc0, 0xaf, 0x22]],
    ['a surrogate in UTF-8', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['a cut sequence', [0x22, 0xe2, 0x82, 0x22]],
    ['UTF-16', [0xff, 0xfe, 0x7b, 0x00]],
  ] as const) {
    it(name, () => {
      assert.throws(() => readJson(Uint8Array.from(bytes), integer), { message: 'not UTF-8', offset: null });
    });
  }

  it('a lone surrogate that is not escaped', () => {
    assert.throws(() => readJsonText('["\ud800"]', integer), { message: 'lone surrogate at 2', offset: 2 });
  });

  it('half a pair escaped and half not', () => {
    assert.throws(() => readJsonText('"\\ud83d\ude00"', integer), /lone surrogate/);
  });

  it('a bomb of brackets, without a stack to overflow', () => {
    assert.throws(() => readJson(encode('['.repeat(1_000_000)), { ...exact, maxDepth: 512 }), JsonError);
  });

  it('to be told of a depth that the stack may not bear', () => {
    assert.throws(
      () => readJsonText('1', { ...exact, maxDepth: 100_000 }),
      /^RangeError: maxDepth: 100000, must be 0 to 512$/,
    );
  });
});

describe('readJson names the first key that stands twice', () => {
  for (const [text, duplicate] of [
    ['{"a":1,"b":2}', null],
    ['{"a":1,"a":2}', 'a'],
    ['{"a":1,"\\u0061":2}', 'a'],
    ['{"a":1,"b":2,"b":3,"a":4}', 'b'],
    ['{"x":{"a":1},"y":{"a":1}}', null],
    ['[{"a":{"b":1,"b":1}}]', 'b'],
    ['{"":1,"":2}', ''],
    ['{"__proto__":1,"__proto__":2}', '__proto__'],
    ['{"constructor":1,"toString":2}', null],
    ['{"é":1,"e\u0301":2}', null],
  ] as const) {
    it(text, () => assert.equal(readJson(encode(text), integer).duplicate, duplicate));
  }

  it('only when nothing else is wrong', () => {
    assert.throws(() => readJson(encode('{"a":1,"a":2}x'), integer), JsonError);
  });
});

function accepts(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}

/** What JSON.parse takes and this reader does not: -0, large numbers, lone surrogates. */
function refusedOnPurpose(text: string): boolean {
  if (!accepts(() => JSON.parse(text))) return false;
  let refused = /\\ud[89a-f]/i.test(text);
  JSON.parse(text, (_, value: unknown) => {
    if (typeof value === 'number') refused ||= Object.is(value, -0) || Math.abs(value) >= 2 ** 53;
    return value;
  });
  return refused;
}
