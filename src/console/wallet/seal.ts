import { scryptAsync } from '@noble/hashes/scrypt.js';
import { fromBase64url, toBase64url } from '../../crypto/base64url.ts';
import { canonicalJson } from '../../crypto/jcs.ts';

/** How a root secret is kept: AES-256-GCM under a key of a passphrase, or of a passkey. Byte strings are base64url. */

/** RFC 7914. Memory: 128 * N * r bytes. */
export interface Scrypt {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

export type Lock =
  | ({ readonly kind: 'passphrase'; readonly salt: string } & Scrypt)
  /** `credential`: its id at `rp`; `salt`: what its PRF is evaluated on. */
  | {
      readonly kind: 'passkey';
      readonly salt: string;
      readonly credential: string;
      readonly rp: string;
    };

/** What lies in the browser's store. The lock is authenticated with the secret: nobody makes it a weaker one. */
export interface Sealed {
  readonly v: 1;
  readonly lock: Lock;
  readonly nonce: string;
  readonly ciphertext: string;
}

/** What was shown does not open it. */
export class WrongKey extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WrongKey';
  }
}

/** 128 MiB, as OWASP's cheat sheet on passwords has it. */
const SCRYPT: Scrypt = { N: 2 ** 17, r: 8, p: 1 };
/** Of a store that somebody has written into: no parameter may hang the page. */
const SCRYPT_AT_MOST = 2 ** 20;
export const PASSPHRASE_AT_LEAST = 12;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;

export type Progress = (part: number) => void;

/** `onProgress` gets 0 to 1. */
export async function sealByPassphrase(
  rootSecret: Uint8Array,
  passphrase: string,
  onProgress: Progress = () => undefined,
  terms: Scrypt = SCRYPT,
): Promise<Sealed> {
  const lock: Lock = { kind: 'passphrase', salt: toBase64url(randomly(32)), ...terms };
  return seal(rootSecret, lock, await keyOfPassphrase(passphrase, lock, onProgress));
}

/** `prf`: what the passkey gives for the lock's salt, 32 bytes. */
export async function sealByPasskey(
  rootSecret: Uint8Array,
  lock: Extract<Lock, { kind: 'passkey' }>,
  prf: Uint8Array,
): Promise<Sealed> {
  return seal(rootSecret, lock, await keyOfPrf(prf));
}

/** The root secret. Throws WrongKey. */
export async function openByPassphrase(
  sealed: Sealed,
  passphrase: string,
  onProgress: Progress = () => undefined,
): Promise<Uint8Array> {
  const { lock } = sealed;
  if (lock.kind !== 'passphrase') throw new WrongKey('This wallet is opened by its passkey.');
  return open(sealed, await keyOfPassphrase(passphrase, lock, onProgress), 'This is not its passphrase.');
}

/** The root secret. Throws WrongKey. */
export async function openByPasskey(sealed: Sealed, prf: Uint8Array): Promise<Uint8Array> {
  return open(sealed, await keyOfPrf(prf), 'This passkey does not open the wallet.');
}

export function isSealed(found: unknown): found is Sealed {
  if (!isObject(found) || found.v !== 1 || !isObject(found.lock)) return false;
  const { lock, nonce, ciphertext } = found;
  if (bytesOf(nonce) !== NONCE_BYTES || bytesOf(ciphertext) !== KEY_BYTES + 16) return false;
  if (lock.kind === 'passkey')
    return bytesOf(lock.salt) === 32 && bytesOf(lock.credential) > 0 && typeof lock.rp === 'string';
  const { N, r, p } = lock;
  return (
    lock.kind === 'passphrase' &&
    bytesOf(lock.salt) === 32 &&
    [N, r, p].every((one) => typeof one === 'number' && Number.isInteger(one) && one > 0) &&
    Number(N) * Number(r) * Number(p) <= SCRYPT_AT_MOST * 8
  );
}

async function keyOfPassphrase(
  passphrase: string,
  { salt, N, r, p }: Extract<Lock, { kind: 'passphrase' }>,
  onProgress: Progress,
): Promise<Uint8Array> {
  // However the keyboard composes its letters, the bytes are the same.
  const typed = new TextEncoder().encode(passphrase.normalize('NFKC'));
  return scryptAsync(typed, fromBase64url(salt) ?? new Uint8Array(), {
    N,
    r,
    p,
    dkLen: KEY_BYTES,
    asyncTick: 30,
    onProgress,
  });
}

async function keyOfPrf(prf: Uint8Array): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey('raw', copyOf(prf), 'HKDF', false, ['deriveBits']);
  const info = new TextEncoder().encode('lemma/wallet/v1');
  const terms = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(32), info };
  return new Uint8Array(await crypto.subtle.deriveBits(terms, key, KEY_BYTES * 8));
}

async function seal(rootSecret: Uint8Array, lock: Lock, key: Uint8Array): Promise<Sealed> {
  if (rootSecret.length !== 32) throw new RangeError('rootSecret: must be 32 bytes');
  const nonce = randomly(NONCE_BYTES);
  const aes = await crypto.subtle.importKey('raw', copyOf(key), 'AES-GCM', false, ['encrypt']);
  key.fill(0);
  const terms = { name: 'AES-GCM', iv: nonce, additionalData: boundTo(lock) };
  const ciphertext = await crypto.subtle.encrypt(terms, aes, copyOf(rootSecret));
  return {
    v: 1,
    lock,
    nonce: toBase64url(nonce),
    ciphertext: toBase64url(new Uint8Array(ciphertext)),
  };
}

async function open(
  { lock, nonce, ciphertext }: Sealed,
  key: Uint8Array,
  wrong: string,
): Promise<Uint8Array> {
  const aes = await crypto.subtle.importKey('raw', copyOf(key), 'AES-GCM', false, ['decrypt']);
  key.fill(0);
  const iv = copyOf(fromBase64url(nonce) ?? new Uint8Array());
  const bytes = copyOf(fromBase64url(ciphertext) ?? new Uint8Array());
  try {
    const terms = { name: 'AES-GCM', iv, additionalData: boundTo(lock) };
    return new Uint8Array(await crypto.subtle.decrypt(terms, aes, bytes));
  } catch {
    throw new WrongKey(wrong);
  }
}

function boundTo(lock: Lock): Uint8Array<ArrayBuffer> {
  return copyOf(new TextEncoder().encode(`lemma/wallet/v1\n${canonicalJson({ ...lock })}`));
}

export function randomly(n: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(n));
}

/** WebCrypto takes no bytes that might be shared between threads. */
function copyOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Length of a base64url text; -1 for what is none. */
function bytesOf(text: unknown): number {
  return typeof text === 'string' ? (fromBase64url(text)?.length ?? -1) : -1;
}
