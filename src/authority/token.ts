import { randomBytes, sha256 } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';

/** A bearer secret: a prefix that says what it is, and 256 random bits. Only its digest is ever kept. */
export function newToken(prefix: string): string {
  return `${prefix}${toBase64url(randomBytes(32))}`;
}

/**
 * What a secret is looked up by: SHA-256, base64url. How long a look-up takes tells at most of digests, from which no
 * secret of 256 bits can be approached.
 */
export function digestOf(secret: string): string {
  return toBase64url(sha256(new TextEncoder().encode(secret)));
}

/** An id for people and paths: a prefix and 128 random bits. */
export function newId(prefix: string): string {
  return `${prefix}${toBase64url(randomBytes(16))}`;
}
