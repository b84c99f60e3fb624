import { fromBase64, toBase64 } from './base64url.ts';

/**
 * Structured fields (RFC 8941). The parser keeps what RFC 8941 would let a later one overwrite: a repeated key or
 * parameter is a repeated entry, and the caller decides.
 */

export type BareItem =
  | { readonly type: 'integer'; readonly value: number }
  | { readonly type: 'decimal'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'token'; readonly value: string }
  | { readonly type: 'bytes'; readonly value: Uint8Array }
  | { readonly type: 'boolean'; readonly value: boolean };

export interface Param {
  readonly key: string;
  readonly value: BareItem;
}

export type Item = BareItem & { readonly params: readonly Param[] };

export interface InnerList {
  readonly items: readonly Item[];
  readonly params: readonly Param[];
}

export interface DictionaryEntry {
  readonly key: string;
  readonly value: Item | InnerList;
}

/** Text that is no structured field, or a value that none can hold. */
export class StructuredFieldError extends Error {
  override readonly name = 'StructuredFieldError';
}

/** Each matches where the parser stands; made once, as a literal in a method is made anew on each call. */
const SPACES = / */y;
const WHITE_SPACE = /[ \t]*/y;
const KEY = /[a-z*][a-z0-9_.*-]*/y;
const NUMBER = /-?[0-9]+(?:\.[0-9]*)?/y;
const STRING = /"(?:[ !#-[\]-~]|\\["\\])*"/y;
const TOKEN = /[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*/y;
const BYTES = /:[^:]*:/y;
const BOOLEAN = /\?[01]/y;

const TRUE: BareItem = { type: 'boolean', value: true };
const LARGEST_INTEGER = 999_999_999_999_999;

/**
 * RFC 8941 section 4.2.2; lines of one field are joined by `, ` before. Empty text is no entries. Byte sequences must be
 * canonical base64 with padding. Throws StructuredFieldError.
 */
export function parseDictionary(text: string): DictionaryEntry[] {
  return new Parser(text).dictionary();
}

class Parser {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  dictionary(): DictionaryEntry[] {
    const entries: DictionaryEntry[] = [];
    this.match(SPACES);
    while (this.at < this.text.length) {
      entries.push(this.entry());
      this.match(WHITE_SPACE);
      if (this.at === this.text.length) return entries;
      this.require(',');
      this.match(WHITE_SPACE);
      if (this.at === this.text.length) throw this.error('nothing after the last comma');
    }
    return entries;
  }

  private entry(): DictionaryEntry {
    const key = this.key();
    if (!this.take('=')) return { key, value: { ...TRUE, params: this.params() } };
    return { key, value: this.text[this.at] === '(' ? this.innerList() : this.item() };
  }

  private innerList(): InnerList {
    const items: Item[] = [];
    this.require('(');
    for (;;) {
      this.match(SPACES);
      if (this.take(')')) return { items, params: this.params() };
      items.push(this.item());
      if (!' )'.includes(this.text[this.at] ?? '?')) throw this.error('expected a space or ")"');
    }
  }

  private item(): Item {
    return { ...this.bareItem(), params: this.params() };
  }

  private params(): Param[] {
    const params: Param[] = [];
    while (this.take(';')) {
      this.match(SPACES);
      const key = this.key();
      params.push({ key, value: this.take('=') ? this.bareItem() : TRUE });
    }
    return params;
  }

  private key(): string {
    const key = this.match(KEY);
    if (key === null) throw this.error('expected a key');
    return key;
  }

  /** What it is, its first character tells. */
  private bareItem(): BareItem {
    switch (this.text[this.at]) {
      case '"': {
        const string = this.match(STRING);
        if (string === null) break;
        const inner = string.slice(1, -1);
        return { type: 'string', value: inner.includes('\\') ? inner.replace(/\\(.)/g, '$1') : inner };
      }
      case ':': {
        const bytes = this.match(BYTES);
        if (bytes === null) break;
        return this.bytes(bytes);
      }
      case '?': {
        const boolean = this.match(BOOLEAN);
        if (boolean === null) break;
        return { type: 'boolean', value: boolean === '?1' };
      }
      default: {
        const number = this.match(NUMBER);
        if (number !== null) return this.number(number);
        const token = this.match(TOKEN);
        if (token !== null) return { type: 'token', value: token };
      }
    }
    throw this.error('expected an item');
  }

  private number(digits: string): BareItem {
    // Adding 0 turns -0, which is written as 0, into it.
    const value = Number(digits) + 0;
    if (/^-?[0-9]{1,15}$/.test(digits)) return { type: 'integer', value };
    if (/^-?[0-9]{1,12}\.[0-9]{1,3}$/.test(digits)) return { type: 'decimal', value };
    throw this.error('a number with too many digits, or ending with its point');
  }

  private bytes(sequence: string): BareItem {
    const value = fromBase64(sequence.slice(1, -1));
    if (value === null) throw this.error('a byte sequence that is not canonical base64 with padding');
    return { type: 'bytes', value };
  }

  /** What the sticky expression finds here, passed over; null when it does not match. */
  private match(sticky: RegExp): string | null {
    sticky.lastIndex = this.at;
    if (!sticky.test(this.text)) return null;
    const found = this.text.slice(this.at, sticky.lastIndex);
    this.at = sticky.lastIndex;
    return found;
  }

  private take(char: string): boolean {
    if (this.text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  private require(char: string): void {
    if (!this.take(char)) throw this.error(`expected "${char}"`);
  }

  private error(message: string): StructuredFieldError {
    return new StructuredFieldError(`${message} at ${this.at}`);
  }
}

/** RFC 8941 section 4.1.2. Entries in their order, repeated ones too. Throws StructuredFieldError. */
export function serializeDictionary(entries: readonly DictionaryEntry[]): string {
  return entries.map(serializeEntry).join(', ');
}

function serializeEntry({ key, value }: DictionaryEntry): string {
  if ('items' in value) return `${serializeKey(key)}=${serializeInnerList(value)}`;
  if (value.type === 'boolean' && value.value) return serializeKey(key) + serializeParams(value.params);
  return `${serializeKey(key)}=${serializeItem(value)}`;
}

/** RFC 8941 section 4.1.1.1. Throws StructuredFieldError. */
export function serializeInnerList(list: InnerList): string {
  return `(${list.items.map(serializeItem).join(' ')})${serializeParams(list.params)}`;
}

/** RFC 8941 section 4.1.3. Throws StructuredFieldError. */
export function serializeItem(item: Item): string {
  return serializeBareItem(item) + serializeParams(item.params);
}

/** RFC 8941 section 4.1.1.2, each with its `;` before it. Throws StructuredFieldError. */
function serializeParams(params: readonly Param[]): string {
  return params
    .map(({ key, value }) => {
      const isTrue = value.type === 'boolean' && value.value;
      return `;${serializeKey(key)}${isTrue ? '' : `=${serializeBareItem(value)}`}`;
    })
    .join('');
}

function serializeKey(key: string): string {
  if (!/^[a-z*][a-z0-9_.*-]*$/.test(key)) throw unwritable('key', key);
  return key;
}

function serializeBareItem(item: BareItem): string {
  switch (item.type) {
    case 'integer':
      if (!Number.isInteger(item.value) || Math.abs(item.value) > LARGEST_INTEGER)
        throw unwritable('integer', item.value);
      return String(item.value);
    case 'decimal':
      return serializeDecimal(item.value);
    case 'string':
      if (!/^[ -~]*$/.test(item.value)) throw unwritable('string', item.value);
      return `"${/["\\]/.test(item.value) ? item.value.replace(/["\\]/g, '\\$&') : item.value}"`;
    case 'token':
      if (!/^[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*$/.test(item.value)) throw unwritable('token', item.value);
      return item.value;
    case 'bytes':
      return `:${toBase64(item.value)}:`;
    case 'boolean':
      return item.value ? '?1' : '?0';
  }
}

/** Three places after the point, half to even; up to twelve before it. */
function serializeDecimal(value: number): string {
  const thousandths = halfToEven(Math.abs(value) * 1000);
  if (!(thousandths <= LARGEST_INTEGER)) throw unwritable('decimal', value);
  const fraction = String(thousandths % 1000)
    .padStart(3, '0')
    .replace(/0{1,2}$/, '');
  return `${value < 0 ? '-' : ''}${Math.floor(thousandths / 1000)}.${fraction}`;
}

function halfToEven(value: number): number {
  const below = Math.floor(value);
  if (value - below === 0.5) return below % 2 === 0 ? below : below + 1;
  return Math.round(value);
}

function unwritable(type: string, value: string | number): StructuredFieldError {
  return new StructuredFieldError(`${JSON.stringify(value)} cannot be written as a ${type}`);
}

/** Whether an entry carries this parameter with this value, once or more: duplicates are the caller's to refuse. */
export function hasParam(entry: DictionaryEntry, key: string, value: string): boolean {
  return entry.value.params.some((param) => param.key === key && param.value.value === value);
}
