import assert from 'node:assert/strict';
import fc from 'fast-check';
import * as reference from 'structured-headers';
import {
  type BareItem,
  type DictionaryEntry,
  type Item,
  parseDictionary,
  StructuredFieldError,
  serializeDictionary,
  serializeInnerList,
  serializeItem,
} from '../../src/crypto/structured-field.ts';
import rfc9421 from '../vectors/rfc9421.json' with { type: 'json' };
import { fromReference, lastOfEach } from './structured-reference.ts';

const chars = (text: string) => fc.constantFrom(...text);
const letters = 'abcxyz';
const keys = fc
  .tuple(chars(`${letters}*`), fc.string({ unit: chars(`${letters}019_-.*`), maxLength: 8 }))
  .map(([first, rest]) => first + rest);
const bareItems: fc.Arbitrary<BareItem> = fc.oneof(
  fc
    .integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 })
    .map((value) => ({ type: 'integer', value: value + 0 }) as const),
  fc
    .integer({ min: -999_999_999, max: 999_999_999 })
    .map((value) => ({ type: 'decimal', value: value / 1000 + 0 }) as const),
  fc.string({ unit: chars(' !"\\aZ~,;=:()') }).map((value) => ({ type: 'string', value }) as const),
  fc
    .tuple(chars('aZ*'), fc.string({ unit: chars("aZ0:/!#$%&'*+-.^_`|~") }))
    .map(([first, rest]) => ({ type: 'token', value: first + rest }) as const),
  fc.uint8Array().map((value) => ({ type: 'bytes', value }) as const),
  fc.boolean().map((value) => ({ type: 'boolean', value }) as const),
);
const params = fc.array(fc.record({ key: keys, value: bareItems }), { maxLength: 3 });
const items: fc.Arbitrary<Item> = fc.tuple(bareItems, params).map(([bare, ps]) => ({ ...bare, params: ps }));
const innerLists = fc.record({ items: fc.array(items, { maxLength: 3 }), params });
const dictionaries: fc.Arbitrary<DictionaryEntry[]> = fc.array(
  fc.record({ key: keys, value: fc.oneof(items, innerLists) }),
  { maxLength: 4 },
);

describe('parseDictionary', () => {
  it('reads what serializeDictionary wrote, repeated keys and parameters too', () => {
    fc.assert(
      fc.property(dictionaries, (entries) =>
        assert.deepEqual(plain(parseDictionary(serializeDictionary(entries))), plain(entries)),
      ),
    );
  });

  it('agrees with `structured-headers` once the last of each key is taken', () => {
    fc.assert(
      fc.property(dictionaries, (entries) => {
        const text = serializeDictionary(entries);
        assert.deepEqual(lastOfEach(parseDictionary(text)), fromReference(reference.parseDictionary(text)));
      }),
    );
  });

  it('refuses what `structured-headers` refuses, among small texts', () => {
    const pieces = chars('ab*A0_-.,;=()"\\? \t:\n').map((c) => c);
    fc.assert(
      fc.property(fc.string({ unit: pieces, maxLength: 10 }), (text) => {
        if (accepts(() => parseDictionary(text)))
          assert.ok(
            accepts(() => reference.parseDictionary(text)),
            text,
          );
      }),
      { numRuns: 10_000 },
    );
  });

  it('keeps a repeated key as two entries', () => {
    assert.deepEqual(
      parseDictionary('a=1, b=2, a=3').map(({ key }) => key),
      ['a', 'b', 'a'],
    );
  });

  it('keeps a repeated parameter as two', () => {
    const [entry] = parseDictionary('a=();k=1;k=2');
    assert.deepEqual(entry?.value.params, [
      { key: 'k', value: { type: 'integer', value: 1 } },
      { key: 'k', value: { type: 'integer', value: 2 } },
    ]);
  });

  it('reads the Signature-Input of RFC 9421 B.2.6 and writes it back', () => {
    const [entry] = parseDictionary(`sig-b26=${rfc9421.signature_input}`);
    assert.equal(entry && 'items' in entry.value && serializeInnerList(entry.value), rfc9421.signature_input);
  });

  for (const [text, entries] of [
    ['', []],
    ['   ', []],
    [' a ', [{ key: 'a', value: { type: 'boolean', value: true, params: [] } }]],
    ['a=-0', [{ key: 'a', value: { type: 'integer', value: 0, params: [] } }]],
    ['a=007', [{ key: 'a', value: { type: 'integer', value: 7, params: [] } }]],
    [
      'a=1 \t,\t b=?0',
      [
        { key: 'a', value: { type: 'integer', value: 1, params: [] } },
        { key: 'b', value: { type: 'boolean', value: false, params: [] } },
      ],
    ],
    [
      'a=( );  q',
      [{ key: 'a', value: { items: [], params: [{ key: 'q', value: { type: 'boolean', value: true } }] } }],
    ],
    ['a="\\"\\\\"', [{ key: 'a', value: { type: 'string', value: '"\\', params: [] } }]],
    ['a=:AA==:', [{ key: 'a', value: { type: 'bytes', value: new Uint8Array(1), params: [] } }]],
    ['a=::', [{ key: 'a', value: { type: 'bytes', value: new Uint8Array(), params: [] } }]],
  ] as const) {
    it(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(parseDictionary(text), entries));
  }

  for (const [name, text] of [
    ['a trailing comma', 'a=1,'],
    ['a leading comma', ',a=1'],
    ['two commas', 'a=1,,b=2'],
    ['no comma', 'a=1 b=2'],
    ['a capital in a key', 'A=1'],
    ['a digit at the start of a key', '1a=1'],
    ['a missing value', 'a='],
    ['a space before the value', 'a= 1'],
    ['a leading tab', '\ta=1'],
    ['a space before a parameter', 'a=1 ;b'],
    ['16 digits', 'a=1234567890123456'],
    ['13 digits before the point', 'a=1234567890123.1'],
    ['4 digits after the point', 'a=1.2345'],
    ['a point at the end', 'a=1.'],
    ['a minus alone', 'a=-'],
    ['an open string', 'a="b'],
    ['an unknown escape', 'a="\\n"'],
    ['a tab in a string', 'a="\t"'],
    ['a character above ASCII in a string', 'a="é"'],
    ['DEL in a string', 'a="\x7f"'],
    ['an open inner list', 'a=("b"'],
    ['items side by side', 'a=("b""c")'],
    ['a tab in an inner list', 'a=("b"\t"c")'],
    ['a list in a list', 'a=(())'],
    ['an inner list as a parameter', 'a=1;b=()'],
    ['an open byte sequence', 'a=:AA=='],
    ['bytes without padding', 'a=:AA:'],
    ['bytes with unused bits set', 'a=:AB==:'],
    ['bytes in the URL alphabet', 'a=:__8=:'],
    ['another boolean', 'a=?2'],
    ['a date of RFC 9651', 'a=@1659578233'],
    ['a line end', 'a=1\r\nb=2'],
    ['a line end at the end', 'a=1\n'],
  ] as const) {
    it(`refuses ${name}`, () => assert.throws(() => parseDictionary(text), StructuredFieldError));
  }

  it('says where', () => {
    assert.throws(() => parseDictionary('a=1, b=é'), { message: 'expected an item at 7' });
  });

  it('takes time in step with length', () => {
    for (const text of [
      `a="${'\\"'.repeat(30_000)}`,
      `a=(${'b '.repeat(30_000)}`,
      `a${';b'.repeat(30_000)};`,
    ]) {
      assert.throws(() => parseDictionary(text), StructuredFieldError);
    }
  });
});

describe('serializing', () => {
  it('agrees with `structured-headers` on items', () => {
    fc.assert(
      fc.property(bareItems, (bare) => {
        // The other package tells decimals from integers by the value alone.
        fc.pre(bare.type !== 'decimal' || !Number.isInteger(bare.value));
        assert.equal(
          serializeItem({ ...bare, params: [] }),
          reference.serializeItem([toReference(bare), new Map()]),
        );
      }),
    );
  });

  for (const [value, text] of [
    [1, '1.0'],
    [-1.5, '-1.5'],
    [0.0005, '0.0'],
    [0.0015, '0.002'],
    [0.0025, '0.002'],
    [-0, '0.0'],
    [999_999_999_999.999, '999999999999.999'],
  ] as const) {
    it(`writes the decimal ${value} as ${text}`, () => {
      assert.equal(serializeItem({ type: 'decimal', value, params: [] }), text);
    });
  }

  it('leaves the value of a true parameter out', () => {
    const yes = { key: 'a', value: { type: 'boolean', value: true } } as const;
    const no = { key: 'b', value: { type: 'boolean', value: false } } as const;
    assert.equal(serializeItem({ type: 'token', value: 't', params: [yes, no] }), 't;a;b=?0');
  });

  for (const [name, item] of [
    ['an integer of 16 digits', { type: 'integer', value: 1e15 }],
    ['a fraction as an integer', { type: 'integer', value: 1.5 }],
    ['NaN', { type: 'decimal', value: Number.NaN }],
    ['a decimal of 13 digits', { type: 'decimal', value: 1e12 }],
    ['a line end in a string', { type: 'string', value: 'a\r\nb' }],
    ['a line end at the end of a string', { type: 'string', value: 'a\n' }],
    ['a string above ASCII', { type: 'string', value: 'é' }],
    ['a token with a space', { type: 'token', value: 'a b' }],
    ['an empty token', { type: 'token', value: '' }],
  ] as const) {
    it(`refuses ${name}`, () => {
      assert.throws(() => serializeItem({ ...item, params: [] }), StructuredFieldError);
    });
  }

  it('refuses a key that is none', () => {
    const entry: DictionaryEntry = { key: 'A', value: { type: 'integer', value: 1, params: [] } };
    assert.throws(() => serializeDictionary([entry]), { message: '"A" cannot be written as a key' });
  });
});

/** Bytes as plain arrays, whatever class carries them. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, v) => (v instanceof Uint8Array ? { bytes: [...v] } : v)));
}

function accepts(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
}

function toReference(bare: BareItem): reference.BareItem {
  if (bare.type === 'token') return new reference.Token(bare.value);
  return bare.type === 'bytes' ? new Uint8Array(bare.value) : bare.value;
}
