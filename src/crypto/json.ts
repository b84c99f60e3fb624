/** A strict reader of JSON (RFC 8259): one text, one meaning, or an error. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface JsonOptions {
  /** Objects and arrays in one another; the outermost is 1. 0 to 512. */
  readonly maxDepth: number;
  /**
   * `integer`: only plain integers within ±(2^53 − 1). `exact`: any finite JSON number; one that is written as an integer
   * must be within ±(2^53 − 1). Neither takes −0.
   */
  readonly numbers: 'integer' | 'exact';
}

export interface JsonRead {
  /** Objects have no prototype: `__proto__` and `constructor` are members like any other. */
  readonly value: Json;
  /** The first key that stands twice in one object, compared after unescaping. What `value` holds then is no matter. */
  readonly duplicate: string | null;
}

/** `offset` counts UTF-16 units of the text from 0; null where the bytes are no text at all. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
  readonly offset: number | null;

  constructor(message: string, offset: number | null) {
    super(offset === null ? message : `${message} at ${offset}`);
    this.offset = offset;
  }
}

const DEEPEST = 512;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Throws JsonError: not UTF-8, and whatever `readJsonText` refuses; RangeError for a `maxDepth` out of range. */
export function readJson(bytes: Uint8Array, options: JsonOptions): JsonRead {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new JsonError('not UTF-8', null);
  }
  return new Reader(text, options).read();
}

/**
 * Throws JsonError: a byte order mark, syntax, anything after the value, a lone surrogate (escaped or not, in keys
 * too), too deep, a number that `options.numbers` does not take; RangeError for a `maxDepth` out of range.
 */
export function readJsonText(text: string, options: JsonOptions): JsonRead {
  if (!text.isWellFormed()) throw new JsonError('lone surrogate', text.search(/\p{Surrogate}/u));
  return new Reader(text, options).read();
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const MINUS = 0x2d;
const LOWER_U = 0x75;

const ESCAPES: ReadonlyMap<number, string> = new Map(
  Object.entries({ '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }).map(
    ([char, meaning]) => [char.charCodeAt(0), meaning],
  ),
);
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const HEX4 = /^[0-9A-Fa-f]{4}$/;

class Reader {
  private readonly text: string;
  private readonly options: JsonOptions;
  private at = 0;
  private duplicate: string | null = null;

  constructor(text: string, options: JsonOptions) {
    if (!Number.isInteger(options.maxDepth) || options.maxDepth < 0 || options.maxDepth > DEEPEST) {
      throw new RangeError(`maxDepth: ${options.maxDepth}, must be 0 to ${DEEPEST}`);
    }
    this.text = text;
    this.options = options;
  }

  read(): JsonRead {
    if (this.text.charCodeAt(0) === 0xfeff) throw new JsonError('byte order mark', 0);
    this.skipSpace();
    const value = this.readValue(0);
    this.skipSpace();
    if (this.at < this.text.length) throw this.unexpected('the end');
    return { value, duplicate: this.duplicate };
  }

  private readValue(depth: number): Json {
    switch (this.text.charCodeAt(this.at)) {
      case QUOTE:
        return this.readString();
      case OPEN_OBJECT:
        return this.readObject(this.deeper(depth));
      case OPEN_ARRAY:
        return this.readArray(this.deeper(depth));
      case 0x74:
        return this.readWord('true', true);
      case 0x66:
        return this.readWord('false', false);
      case 0x6e:
        return this.readWord('null', null);
      default:
        return this.readNumber();
    }
  }

  private deeper(depth: number): number {
    if (depth >= this.options.maxDepth) throw new JsonError(`deeper than ${this.options.maxDepth}`, this.at);
    return depth + 1;
  }

  private readObject(depth: number): Json {
    const members: { [key: string]: Json } = Object.create(null);
    this.at++;
    this.skipSpace();
    if (this.take(CLOSE_OBJECT)) return members;
    for (;;) {
      if (this.text.charCodeAt(this.at) !== QUOTE) throw this.unexpected('a key in double quotes');
      const key = this.readString();
      this.skipSpace();
      if (!this.take(COLON)) throw this.unexpected('":"');
      this.skipSpace();
      if (key in members) this.duplicate ??= key;
      members[key] = this.readValue(depth);
      this.skipSpace();
      if (this.take(CLOSE_OBJECT)) return members;
      if (!this.take(COMMA)) throw this.unexpected('"," or "}"');
      this.skipSpace();
    }
  }

  private readArray(depth: number): Json {
    const items: Json[] = [];
    this.at++;
    this.skipSpace();
    if (this.take(CLOSE_ARRAY)) return items;
    for (;;) {
      items.push(this.readValue(depth));
      this.skipSpace();
      if (this.take(CLOSE_ARRAY)) return items;
      if (!this.take(COMMA)) throw this.unexpected('"," or "]"');
      this.skipSpace();
    }
  }

  private readString(): string {
    const { text } = this;
    const opened = this.at++;
    let value = '';
    let runFrom = this.at;
    for (;;) {
      const code = text.charCodeAt(this.at);
      if (code === QUOTE) {
        const run = text.slice(runFrom, this.at++);
        return value === '' ? run : value + run;
      }
      if (code === BACKSLASH) {
        value += text.slice(runFrom, this.at) + this.readEscape();
        runFrom = this.at;
      } else if (code >= 0x20) {
        this.at++;
      } else if (this.at >= text.length) {
        throw new JsonError('unterminated string', opened);
      } else {
        throw new JsonError('control character in a string', this.at);
      }
    }
  }

  private readEscape(): string {
    const code = this.text.charCodeAt(this.at + 1);
    if (code !== LOWER_U) {
      const meaning = ESCAPES.get(code);
      if (meaning === undefined) throw new JsonError('unknown escape', this.at);
      this.at += 2;
      return meaning;
    }
    const from = this.at;
    const first = this.readHex();
    if (first < 0xd800 || first > 0xdfff) return String.fromCharCode(first);
    if (first > 0xdbff || !this.text.startsWith('\\u', this.at)) throw new JsonError('lone surrogate', from);
    const second = this.readHex();
    if (second < 0xdc00 || second > 0xdfff) throw new JsonError('lone surrogate', from);
    return String.fromCharCode(first, second);
  }

  /** `\uXXXX`, from its backslash on. */
  private readHex(): number {
    const digits = this.text.slice(this.at + 2, this.at + 6);
    if (!HEX4.test(digits)) throw new JsonError('malformed \\u escape', this.at);
    this.at += 6;
    return Number.parseInt(digits, 16);
  }

  private readNumber(): number {
    const code = this.text.charCodeAt(this.at);
    const isDigit = code >= 0x30 && code <= 0x39;
    if (!isDigit && code !== MINUS) throw this.unexpected('a value');
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) throw new JsonError('malformed number', this.at);
    const value = Number(match[0]);
    const problem = numberProblem(
      value,
      match[1] === undefined && match[2] === undefined,
      this.options.numbers,
    );
    if (problem !== null) throw new JsonError(problem, this.at);
    this.at += match[0].length;
    return value;
  }

  private readWord<T extends Json>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) throw this.unexpected('a value');
    this.at += word.length;
    return value;
  }

  private skipSpace(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at++;
    }
  }

  private take(code: number): boolean {
    if (this.text.charCodeAt(this.at) !== code) return false;
    this.at++;
    return true;
  }

  private unexpected(wanted: string): JsonError {
    if (this.at >= this.text.length) return new JsonError(`the text ends where ${wanted} should be`, this.at);
    const char = JSON.stringify(String.fromCodePoint(this.text.codePointAt(this.at) ?? 0));
    return new JsonError(`expected ${wanted}, found ${char}`, this.at);
  }
}

function numberProblem(
  value: number,
  writtenAsInteger: boolean,
  numbers: JsonOptions['numbers'],
): string | null {
  if (Object.is(value, -0)) return '-0';
  if (writtenAsInteger) return Number.isSafeInteger(value) ? null : 'an integer outside ±(2^53 − 1)';
  if (numbers === 'integer') return 'not a plain integer';
  return Number.isFinite(value) ? null : 'a number too large';
}
