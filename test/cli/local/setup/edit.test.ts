import { deepEqual, equal, throws } from 'node:assert/strict';
import { assert, constantFrom, dictionary, integer, jsonValue, property, string } from 'fast-check';
import JSON5 from 'json5';
import { addItem, readAt, removeMember, setMember } from '../../../../src/cli/local/setup/edit.ts';
import { parseJson5, plainOf } from '../../../../src/cli/local/setup/json5.ts';

const OPENCLAW = `// mine
{
  gateway: { mode: 'local', auth: { mode: 'token', token: 's' } }, // the token is old
  /* models
     come later */
  "agents": { defaults: { workspace: "~/w", timeoutSeconds: 0x10 }, },
  plugins: {
    // keep this
    entries: {
      discord: { enabled: true }, // chat
    },
  },
  channels: { whatsapp: { allowFrom: ['+15555550123',], } },
}
`;

describe('reading JSON5', () => {
  for (const text of [
    OPENCLAW,
    '[1, +1, -.5, 5., 0xdecaf, 1e3, Infinity, -Infinity, NaN, null, true, false]',
    `{'a\\'b': "c\\x41\\u0042\\\n d", \\u0061b: '\\0\\v', $_x1: [], ünï: {} }`,
    '\ufeff \u00a0{}\u2028// end',
    '/**/0//',
  ])
    it(`gives what the reference reads: ${JSON.stringify(text.slice(0, 40))}`, () =>
      deepEqual(plainOf(parseJson5(text)), JSON5.parse(text)));

  for (const text of [
    ...[
      '',
      '{',
      '[1 2]',
      '{a 1}',
      '{a:1,,}',
      '[,]',
      '{a:}',
      "'a",
      '"a\nb"',
      '01',
      '1a',
      'nul',
      'nullx',
      '+ 1',
    ],
    ...[
      '/*',
      '{1:1}',
      '"\\1"',
      '"\\x4"',
      '{} {}',
      'undefined',
      '{"a":1 "b":2}',
      "{a:'\\u00'}",
      '"\\01"',
      '- 1',
    ],
  ])
    it(`refuses what the reference refuses: ${JSON.stringify(text)}`, () => {
      throws(() => JSON5.parse(text));
      throws(() => parseJson5(text), { name: 'Json5Error' });
    });

  it('says where it is wrong', () =>
    throws(() => parseJson5('{\n  a: 1,\n  b: ?\n}'), { line: 3, column: 6 }));
  it('refuses a key that stands twice', () =>
    throws(() => parseJson5('{a: 1, "a": 2}'), /the key "a" stands twice/));
  it('keeps what is called __proto__ as data', () =>
    deepEqual(Object.keys(plainOf(parseJson5('{__proto__: {x: 1}}')) as object), ['__proto__']));

  it('reads any JSON as JSON does', () =>
    assert(
      // Of the text: JSON itself has no -0 to write.
      property(jsonValue(), (value) => {
        const text = JSON.stringify(value);
        deepEqual(plainOf(parseJson5(text)), JSON.parse(text));
      }),
    ));
});

describe('changing JSON5', () => {
  it('adds to a real openclaw.json, and leaves everything else as it is', () => {
    const once = addItem(OPENCLAW, ['plugins', 'load', 'paths'], '/p');
    const twice = setMember(once, ['plugins', 'entries', 'lemma-firewall'], {
      enabled: true,
      config: { n: 1 },
    });
    equal(
      twice,
      OPENCLAW.replace(
        'discord: { enabled: true }, // chat\n    },\n',
        `discord: { enabled: true }, // chat
      "lemma-firewall": {
        "enabled": true,
        "config": {
          "n": 1
        }
      },
    },
    "load": {
      "paths": ["/p"]
    },
`,
      ),
    );
  });

  for (const [name, before, after] of [
    ['an empty file', '{}', '{\n  "a": {\n    "b": 1\n  }\n}'],
    ['a comment alone', '{\n  // none\n}\n', '{\n  // none\n  "a": {\n    "b": 1\n  }\n}\n'],
    ['a comment on one line', '{ /* none */ }', '{ /* none */ \n  "a": {\n    "b": 1\n  }\n}'],
    ['no closing comma', '{\n\tx: 1 // one\n}', '{\n\tx: 1, // one\n\ta: {\n\t\tb: 1\n\t}\n}'],
    ['one line', '{"x":1}', '{"x":1, "a": {\n  "b": 1\n}}'],
    ['one line with a comma', '{x: 1, }', '{x: 1, a: {\n  b: 1\n}, }'],
    ['Windows', '{\r\n  "x": 1\r\n}', '{\r\n  "x": 1,\r\n  "a": {\r\n    "b": 1\r\n  }\r\n}'],
    ['a part of the way', '{ a: {} }', '{ a: {\n  b: 1\n} }'],
    ['another value', '{ a: { b: 2 /* two */ } }', '{ a: { b: 1 /* two */ } }'],
    ['this value', '{ "a": { b: 1. } }', '{ "a": { b: 1. } }'],
  ] as const)
    it(`sets a member: ${name}`, () => equal(setMember(before, ['a', 'b'], 1), after));

  for (const [name, before, after] of [
    ['the only one', '{ a: 1 }', '{ }'],
    ['on its own line', '{\n  x: 1,\n  a: 1, // one\n  y: 2\n}', '{\n  x: 1,\n  // one\n  y: 2\n}'],
    ['with its line', '{\n  x: 1,\n  a: [\n    1\n  ],\n  y: 2\n}', '{\n  x: 1,\n  y: 2\n}'],
    ['the last', '{\n  x: 1, // x\n  a: 1\n}', '{\n  x: 1 // x\n}'],
    ['the last with a comma', '{\n  x: 1,\n  a: 1,\n}', '{\n  x: 1,\n}'],
    ['none', '{ x: 1 }', '{ x: 1 }'],
  ] as const)
    it(`takes a member away: ${name}`, () => equal(removeMember(before, ['a']), after));

  it('adds an item once', () => {
    const once = addItem('{ p: ["a"] }', ['p'], { x: 1 });
    equal(addItem(once, ['p'], { x: 1 }), once);
    deepEqual(readAt(once, ['p']), ['a', { x: 1 }]);
  });

  it('says what is in the way', () => {
    throws(() => setMember('{ a: [] }', ['a', 'b'], 1), { name: 'EditError', path: 'a' });
    throws(() => addItem('{ a: {} }', ['a'], 1), { name: 'EditError', path: 'a' });
    throws(() => setMember('[]', ['a'], 1), /the file is no object/);
  });

  /** Texts of every layout, with comments wherever they may stand. */
  const written = (value: unknown, layout: number): string => {
    const json = JSON.stringify(value, null, [undefined, 2, '\t', 4][layout % 4]);
    if (layout < 4) return json;
    return json.replaceAll(/"(?:\\.|[^"\\])*"|[{[,]/g, (token) =>
      token.startsWith('"') ? token : `${token} /* c${layout} */`,
    );
  };
  const key = string({ minLength: 1, maxLength: 3 });
  const document = dictionary(key, jsonValue({ maxDepth: 2 }), { maxKeys: 4, noNullPrototype: true });

  it('means what it says, whatever the text', () =>
    assert(
      property(
        document,
        integer({ min: 0, max: 7 }),
        key,
        constantFrom(1, 'x', [1], { y: [] }),
        (value, layout, name, put) => {
          const text = written(value, layout);
          const set = setMember(text, [name], put);
          deepEqual(JSON5.parse(set), JSON5.parse(JSON.stringify({ ...value, [name]: put })));
          equal(setMember(set, [name], put), set);
          const removed = removeMember(set, [name]);
          const { [name]: _gone, ...rest } = value;
          deepEqual(JSON5.parse(removed), JSON5.parse(JSON.stringify(rest)));
          if (!(name in value)) deepEqual(removed.match(/\/\*.*?\*\//g), text.match(/\/\*.*?\*\//g));
        },
      ),
      { numRuns: 500 },
    ));
});
