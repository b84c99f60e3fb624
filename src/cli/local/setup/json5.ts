/**
 * JSON5 (spec.json5.org; JSON and JSONC are parts of it) with the place of each value, so that a change touches nothing but
 * itself. Offsets are in UTF-16 units; `end` is exclusive.
 */
export type Json5Node =
  | {
      readonly kind: 'object';
      readonly start: number;
      readonly end: number;
      readonly members: readonly Json5Member[];
      /** After the last member stands a comma. */
      readonly comma: boolean;
    }
  | {
      readonly kind: 'array';
      readonly start: number;
      readonly end: number;
      readonly items: readonly Json5Node[];
      readonly comma: boolean;
    }
  | { readonly kind: 'scalar'; readonly start: number; readonly end: number; readonly value: unknown };

export interface Json5Member {
  readonly key: string;
  /** Of the key. */
  readonly start: number;
  readonly quoted: boolean;
  readonly value: Json5Node;
}

/** `line` and `column` from 1. */
export class Json5Error extends Error {
  override readonly name = 'Json5Error';
  readonly line: number;
  readonly column: number;
  constructor(message: string, text: string, at: number) {
    super(message);
    const before = text.slice(0, at).split(/\r\n|[\n\r\u2028\u2029]/);
    this.line = before.length;
    this.column = (before.at(-1)?.length ?? 0) + 1;
  }
}

const DEEPEST = 200;
const SPACE = /[\t\n\v\f\r \u00a0\u2028\u2029\ufeff\p{Zs}]/u;
const LINE_END = /[\n\r\u2028\u2029]/;
const ID_START = /[$_\p{L}\p{Nl}]/u;
const ID_PART = /[$_\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}\u200c\u200d]/u;
const NUMBER = /[+-]?(?:0[xX][0-9a-fA-F]+|Infinity|NaN|(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)/y;
const WORDS = new Map<string, unknown>([
  ['null', null],
  ['true', true],
  ['false', false],
]);
const ESCAPES: Readonly<Record<string, string>> = {
  ...{ b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '0': '\0' },
};

/** The one value of a text. Throws Json5Error; a key that stands twice is an error too: which one counts? */
export function parseJson5(text: string): Json5Node {
  const cursor = { text, at: 0 };
  const node = valueAt(cursor, 0);
  skipTrivia(cursor);
  if (cursor.at < text.length) throw fail(cursor, 'nothing may follow the value');
  return node;
}

/** What a node stands for, as plain data. */
export function plainOf(node: Json5Node): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'array':
      return node.items.map(plainOf);
    case 'object':
      return Object.fromEntries(node.members.map(({ key, value }) => [key, plainOf(value)]));
  }
}

/** By a key, or in a list by an index in digits. */
export function childOf(node: Json5Node | undefined, key: string): Json5Node | undefined {
  return node?.kind === 'array' ? node.items[Number(key)] : memberOf(node, key)?.value;
}

export function memberOf(node: Json5Node | undefined, key: string): Json5Member | undefined {
  return node?.kind === 'object' ? node.members.find((member) => member.key === key) : undefined;
}

interface Cursor {
  readonly text: string;
  at: number;
}

function fail({ text, at }: Cursor, message: string, where = at): Json5Error {
  return new Json5Error(message, text, where);
}

/** Past spaces and comments, from an offset. Throws Json5Error for a comment that does not end. */
export function pastTrivia(text: string, from: number): number {
  const cursor = { text, at: from };
  skipTrivia(cursor);
  return cursor.at;
}

function skipTrivia(cursor: Cursor): void {
  const { text } = cursor;
  for (;;) {
    const char = text[cursor.at];
    if (char === undefined) return;
    if (SPACE.test(char)) {
      cursor.at += 1;
    } else if (text.startsWith('//', cursor.at)) {
      while (cursor.at < text.length && !LINE_END.test(text[cursor.at] ?? '')) cursor.at += 1;
    } else if (text.startsWith('/*', cursor.at)) {
      const end = text.indexOf('*/', cursor.at + 2);
      if (end === -1) throw fail(cursor, 'a comment does not end');
      cursor.at = end + 2;
    } else return;
  }
}

function valueAt(cursor: Cursor, depth: number): Json5Node {
  skipTrivia(cursor);
  if (depth > DEEPEST) throw fail(cursor, `is nested more than ${DEEPEST} deep`);
  const { text, at: start } = cursor;
  const char = text[start];
  if (char === undefined) throw fail(cursor, 'a value is missing');
  if (char === '{') return objectAt(cursor, depth);
  if (char === '[') return arrayAt(cursor, depth);
  if (char === '"' || char === "'") return scalar(cursor, start, stringAt(cursor));
  NUMBER.lastIndex = start;
  const [number] = NUMBER.exec(text) ?? [];
  if (number !== undefined) {
    cursor.at += number.length;
    if (ID_PART.test(text[cursor.at] ?? '')) throw fail(cursor, 'is no number', start);
    return scalar(cursor, start, numberOf(number));
  }
  const word = /^[a-z]+/.exec(text.slice(start, start + 8))?.[0] ?? '';
  if (!WORDS.has(word) || ID_PART.test(text[start + word.length] ?? ''))
    throw fail(cursor, `a value cannot begin with ${JSON.stringify(char)}`);
  cursor.at += word.length;
  return scalar(cursor, start, WORDS.get(word));
}

function scalar({ at: end }: Cursor, start: number, value: unknown): Json5Node {
  return { kind: 'scalar', start, end, value };
}

function numberOf(text: string): number {
  const negative = text.startsWith('-');
  const bare = text.replace(/^[+-]/, '');
  const value = bare === 'NaN' ? Number.NaN : Number(bare);
  return negative ? -value : value;
}

function objectAt(cursor: Cursor, depth: number): Json5Node {
  const { at: start } = cursor;
  const members: Json5Member[] = [];
  const comma = listAt(cursor, '}', () => {
    const at = cursor.at;
    const quoted = cursor.text[at] === '"' || cursor.text[at] === "'";
    const key = quoted ? stringAt(cursor) : identifierAt(cursor);
    if (members.some((member) => member.key === key)) throw fail(cursor, `the key "${key}" stands twice`, at);
    skipTrivia(cursor);
    if (cursor.text[cursor.at] !== ':') throw fail(cursor, `after the key "${key}" a colon is missing`);
    cursor.at += 1;
    members.push({ key, start: at, quoted, value: valueAt(cursor, depth + 1) });
  });
  return { kind: 'object', start, end: cursor.at, members, comma };
}

function arrayAt(cursor: Cursor, depth: number): Json5Node {
  const { at: start } = cursor;
  const items: Json5Node[] = [];
  const comma = listAt(cursor, ']', () => items.push(valueAt(cursor, depth + 1)));
  return { kind: 'array', start, end: cursor.at, items, comma };
}

/** From the opening bracket past the closing one; gives whether the last element has a comma after it. */
function listAt(cursor: Cursor, close: '}' | ']', element: () => void): boolean {
  cursor.at += 1;
  let comma = false;
  for (let first = true; ; first = false) {
    skipTrivia(cursor);
    if (cursor.text[cursor.at] === close) break;
    if (!first && !comma) throw fail(cursor, `a comma or ${close} is missing`);
    element();
    skipTrivia(cursor);
    comma = cursor.text[cursor.at] === ',';
    if (comma) cursor.at += 1;
  }
  cursor.at += 1;
  return comma;
}

function identifierAt(cursor: Cursor): string {
  const { text, at: start } = cursor;
  let name = '';
  for (;;) {
    const here = cursor.at;
    const char =
      text[here] === '\\' && text[here + 1] === 'u'
        ? hexAt(cursor, 2, 4)
        : String.fromCodePoint(text.codePointAt(here) ?? 0);
    if (here >= text.length || !(name === '' ? ID_START : ID_PART).test(char)) {
      cursor.at = here;
      break;
    }
    if (cursor.at === here) cursor.at += char.length;
    name += char;
  }
  if (name === '') throw fail(cursor, 'a key is missing', start);
  return name;
}

/** The character of an escape of hex digits, which begin `skip` after the cursor. */
function hexAt(cursor: Cursor, skip: number, digits: number): string {
  const hex = cursor.text.slice(cursor.at + skip, cursor.at + skip + digits);
  if (hex.length !== digits || !/^[0-9a-fA-F]+$/.test(hex)) throw fail(cursor, 'is no escape');
  cursor.at += skip + digits;
  return String.fromCharCode(Number.parseInt(hex, 16));
}

function stringAt(cursor: Cursor): string {
  const { text, at: start } = cursor;
  const quote = text[start];
  let value = '';
  cursor.at += 1;
  for (;;) {
    const char = text[cursor.at];
    if (char === undefined || char === '\n' || char === '\r')
      throw fail(cursor, 'a string does not end', start);
    if (char === quote) break;
    if (char === '\\') value += escapeAt(cursor);
    else {
      value += char;
      cursor.at += 1;
    }
  }
  cursor.at += 1;
  return value;
}

function escapeAt(cursor: Cursor): string {
  const char = cursor.text[cursor.at + 1] ?? '';
  if (char === 'x') return hexAt(cursor, 2, 2);
  if (char === 'u') return hexAt(cursor, 2, 4);
  if (/[1-9]/.test(char) || (char === '0' && /\d/.test(cursor.text[cursor.at + 2] ?? '')))
    throw fail(cursor, 'is no escape');
  cursor.at += 2;
  if (char === '\r' && cursor.text[cursor.at] === '\n') cursor.at += 1;
  if (LINE_END.test(char)) return '';
  return ESCAPES[char] ?? char;
}
