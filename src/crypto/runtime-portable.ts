import { hmac } from '@noble/hashes/hmac.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import type { EngineName } from './ed25519-engine.ts';
import { noble } from './ed25519-noble.ts';

/** Where there is no Node: a browser. The same exports as `runtime-node.ts`, chosen by `imports` in package.json. */

/** The most that getRandomValues gives at once (W3C WebCrypto, section 10.1.1). */
const RANDOM_QUOTA = 65_536;

export const ed25519Engine: EngineName = noble.name;

/** SHA-256 of the chunks as one. 32 bytes. */
export function sha256(...chunks: Uint8Array[]): Uint8Array {
  const hash = nobleSha256.create();
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest();
}

/** HMAC-SHA-256 (RFC 2104) of the chunks as one. 32 bytes. */
export function hmacSha256(key: Uint8Array, ...chunks: Uint8Array[]): Uint8Array {
  const mac = hmac.create(nobleSha256, key);
  for (const chunk of chunks) mac.update(chunk);
  return mac.digest();
}

/** From the system's generator. Throws RangeError for a negative or broken `n`. */
export function randomBytes(n: number): Uint8Array {
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`randomBytes: ${n} is not a number of bytes`);
  const bytes = new Uint8Array(n);
  for (let at = 0; at < n; at += RANDOM_QUOTA) {
    globalThis.crypto.getRandomValues(bytes.subarray(at, at + RANDOM_QUOTA));
  }
  return bytes;
}

export const verifyEd25519 = noble.verify;
export const signEd25519 = noble.sign;
export const publicKeyOf = noble.publicKeyOf;
export const keyProblem = noble.keyProblem;
