import { createCipheriv, createDecipheriv, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { randomBytes } from '#runtime';
import { type SealedKey, sealedKeySchema } from '../schema/local-state.ts';
import { checker } from '../schema/validate.ts';
import { fromBase64url, toBase64url } from './base64url.ts';
import { canonicalJson } from './jcs.ts';
import { JsonError, readJsonText } from './json.ts';

/** The passphrase does not open it, or the text is no sealed key. */
export class SealedKeyError extends Error {
  override readonly name = 'SealedKeyError';
}

type Costs = { readonly N: number; readonly r: number; readonly p: number; readonly maxmem: number };
const derive = promisify<string, Uint8Array, number, Costs, Buffer>(scrypt);

/** 128 MiB and a fraction of a second for each guess. */
const COST = 131_072;
const KEY = 32;
const TAG = 16;
const check = checker(sealedKeySchema);

/** Whether a key file's text is one that a passphrase opens. */
export function isSealedKey(text: string): boolean {
  return text.trimStart().startsWith('{');
}

/** The document (`sealedKeySchema`) as JSON text, for a seed of 32 bytes. */
export async function sealKey(seed: Uint8Array, passphrase: string): Promise<string> {
  if (seed.length !== KEY) throw new RangeError(`a key has ${KEY} bytes, not ${seed.length}`);
  const salt = randomBytes(16);
  const nonce = randomBytes(12);
  const head = {
    ...({ v: 1, kdf: 'scrypt', n: COST, r: 8, p: 1, salt: toBase64url(salt) } as const),
    ...({ cipher: 'aes-256-gcm', nonce: toBase64url(nonce) } as const),
  };
  const cipher = createCipheriv(head.cipher, await keyOf(passphrase, salt, COST), nonce);
  cipher.setAAD(aadOf(head));
  const sealed = Buffer.concat([cipher.update(seed), cipher.final(), cipher.getAuthTag()]);
  return JSON.stringify({ ...head, sealed: toBase64url(sealed) } satisfies SealedKey);
}

/** The 32 bytes. Throws SealedKeyError. */
export async function openSealedKey(text: string, passphrase: string): Promise<Uint8Array> {
  const { sealed, ...head } = read(text);
  const bytes = bytesOf(sealed);
  const key = await keyOf(passphrase, bytesOf(head.salt), head.n);
  const decipher = createDecipheriv(head.cipher, key, bytesOf(head.nonce));
  decipher.setAAD(aadOf(head));
  decipher.setAuthTag(bytes.subarray(KEY, KEY + TAG));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(0, KEY)), decipher.final()]);
  } catch {
    throw new SealedKeyError('the passphrase does not open this key, or the file was altered');
  }
}

function read(text: string): SealedKey {
  try {
    const { value, duplicate } = readJsonText(text, { maxDepth: 2, numbers: 'integer' });
    const checked = check(value);
    if (checked.ok && duplicate === null) return checked.value;
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
  }
  throw new SealedKeyError('this is no sealed key of version 1');
}

function keyOf(passphrase: string, salt: Uint8Array, n: number): Promise<Buffer> {
  return derive(passphrase.normalize('NFKC'), salt, KEY, { N: n, r: 8, p: 1, maxmem: 129 * 8 * n * 2 });
}

function aadOf(head: Omit<SealedKey, 'sealed'>): Uint8Array {
  return new TextEncoder().encode(canonicalJson(head));
}

function bytesOf(text: string): Uint8Array {
  const bytes = fromBase64url(text);
  if (bytes === null) throw new SealedKeyError('its bytes are not canonical base64url');
  return bytes;
}
