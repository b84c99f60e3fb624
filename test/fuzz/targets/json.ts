import { deepEqual, equal } from 'node:assert/strict';
import { type Json, JsonError, type JsonOptions, readJson, readJsonText } from '../../../src/crypto/json.ts';
import { refusing, type Target, textOf } from '../target.ts';

const MODES: readonly JsonOptions[] = [
  { maxDepth: 8, numbers: 'integer' },
  { maxDepth: 64, numbers: 'exact' },
];

/**
 * The strict reader against JSON.parse: what it takes has the same value there, and what it alone refuses has one of the
 * things that it is there to refuse.
 */
export const json: Target = {
  name: 'json',
  maxBytes: 2_000,
  words: [
    '{"',
    '":',
    '[',
    ']',
    '{}',
    'null',
    'true',
    'false',
    '-0',
    '1e3',
    '1.5',
    '9007199254740993',
    '\\u0041',
    '\\ud800',
    '\\udc00',
    '"__proto__":',
    '"v":1,',
    '\ufeff',
    '\v',
    '\u00a0',
    '\u2028',
    '[[[[[[[[[',
    '\\"',
    ' ',
    '-',
    '0',
  ],
  run(input) {
    const text = textOf(input);
    for (const options of MODES) {
      const read = refusing(() => readJson(input, options), JsonError);
      if (text === null) {
        equal(read, undefined, 'bytes that are not UTF-8 were read');
        continue;
      }
      deepEqual(
        refusing(() => readJsonText(text, options), JsonError),
        read,
        'the text is read otherwise than its bytes',
      );
      const parsed = refusing(() => ({ value: JSON.parse(text) as unknown }), SyntaxError);
      if (read !== undefined) {
        if (parsed === undefined) throw new Error('taken, and JSON.parse refuses it');
        if (read.duplicate === null)
          deepEqual(plain(read.value), parsed.value, 'another value than that of JSON.parse');
        continue;
      }
      if (parsed !== undefined && !excused(parsed.value, text, options))
        throw new Error('refused, and JSON.parse takes it, for no reason known');
    }
  },
};

/** With prototypes again: a member `__proto__` as JSON.parse makes it. */
function plain(value: Json): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const object = {};
  for (const [key, member] of Object.entries(value))
    Object.defineProperty(object, key, {
      value: plain(member),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  return object;
}

function excused(value: unknown, text: string, { maxDepth, numbers }: JsonOptions): boolean {
  if (depthOf(value) > maxDepth || hasLoneSurrogate(value)) return true;
  // Members that a later one of the same name hides can't be seen in the value.
  if (/[[{]/.test(text) && nestingOf(text) > maxDepth) return true;
  if (/\\u[dD][89a-fA-F]/.test(text)) return true;
  return outsideStrings(text).some((number) => {
    const read = Number(number);
    if (Object.is(read, -0)) return true;
    if (/^-?\d+$/.test(number)) return !Number.isSafeInteger(read);
    return numbers === 'integer' || !Number.isFinite(read);
  });
}

function outsideStrings(text: string): string[] {
  return text.replace(/"(?:[^"\\]|\\.)*"/g, '""').match(/-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g) ?? [];
}

function nestingOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const char of text.replace(/"(?:[^"\\]|\\.)*"/g, '')) {
    if (char === '[' || char === '{') deepest = Math.max(deepest, ++depth);
    else if (char === ']' || char === '}') depth -= 1;
  }
  return deepest;
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

function hasLoneSurrogate(value: unknown): boolean {
  if (typeof value === 'string') return !value.isWellFormed();
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, member]) => !key.isWellFormed() || hasLoneSurrogate(member));
}
