/** RFC 4648 sections 4 and 5, canonical only: what decodes is the one text that its bytes encode to. */

const URL_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const STANDARD_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const NONE = 0xff;

const URL_CODES = codesOf(URL_ALPHABET);
const STANDARD_CODES = codesOf(STANDARD_ALPHABET);
const URL_VALUES = valuesOf(URL_ALPHABET);
const STANDARD_VALUES = valuesOf(STANDARD_ALPHABET);

/** base64url without padding. */
export function toBase64url(bytes: Uint8Array): string {
  return encode(bytes, URL_CODES);
}

/** Bytes of base64url without padding, or null: padding, a foreign character, unused bits that are not 0. */
export function fromBase64url(text: string): Uint8Array | null {
  return decode(text, text.length, URL_VALUES);
}

/** Standard base64 with padding. */
export function toBase64(bytes: Uint8Array): string {
  return encode(bytes, STANDARD_CODES) + '='.repeat((3 - (bytes.length % 3)) % 3);
}

/** Bytes of standard base64, or null where padding is missing or too much, and as for base64url. */
export function fromBase64(text: string): Uint8Array | null {
  if (text.length % 4 !== 0) return null;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  return decode(text, text.length - padding, STANDARD_VALUES);
}

function encode(bytes: Uint8Array, codes: Uint8Array): string {
  const out = new Uint8Array(Math.ceil((bytes.length * 4) / 3));
  for (let i = 0, o = 0; i < bytes.length; i += 3) {
    // An index past the end reads as 0, a write past the end is dropped: the last group needs no case of its own.
    const group = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    out[o++] = codes[group >> 18] ?? 0;
    out[o++] = codes[(group >> 12) & 63] ?? 0;
    out[o++] = codes[(group >> 6) & 63] ?? 0;
    out[o++] = codes[group & 63] ?? 0;
  }
  return asciiText(out);
}

/** In pieces: a call takes only so many arguments. */
function asciiText(codes: Uint8Array): string {
  const piece = 8192;
  let text = '';
  for (let at = 0; at < codes.length; at += piece) {
    text += String.fromCharCode.apply(null, codes.subarray(at, at + piece) as unknown as number[]);
  }
  return text;
}

function decode(text: string, length: number, values: Uint8Array): Uint8Array | null {
  if (length % 4 === 1) return null;
  const out = new Uint8Array(Math.floor((length * 3) / 4));
  let bits = 0;
  let held = 0;
  let o = 0;
  for (let i = 0; i < length; i++) {
    const value = values[text.charCodeAt(i)] ?? NONE;
    if (value === NONE) return null;
    bits = ((bits << 6) | value) & 0xffff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out[o++] = bits >> held;
  }
  const unused = bits & ((1 << held) - 1);
  return unused === 0 ? out : null;
}

function codesOf(alphabet: string): Uint8Array {
  return Uint8Array.from(alphabet, (char) => char.charCodeAt(0));
}

/** By character code; NONE where the alphabet lacks it. */
function valuesOf(alphabet: string): Uint8Array {
  const values = new Uint8Array(128).fill(NONE);
  for (const [value, char] of [...alphabet].entries()) values[char.charCodeAt(0)] = value;
  return values;
}
