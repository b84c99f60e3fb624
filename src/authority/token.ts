import { timingSafeEqual } from 'node:crypto';
import { hmacSha256, randomBytes, sha256 } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';

/** How long a secret is after its prefix: 256 random bits, then the tag. */
export const TOKEN_LENGTH = 51;
const RANDOM_LENGTH = 43;

const encoder = new TextEncoder();

/**
 * Makes bearer secrets: a prefix that says what it is, 256 random bits, and a tag of 48 bits that this deployment alone
 * can make. Only a secret's digest is ever kept. By the tag what is guessed is told from what is ours without asking the
 * store; what is ours is still looked up.
 */
export interface Tokens {
  make(prefix: string): string;
  genuine(token: string): boolean;
}

/** `secret` is shared by the control planes of a deployment. */
export function createTokens(secret: Uint8Array): Tokens {
  const tagOf = (text: string) =>
    toBase64url(hmacSha256(secret, encoder.encode(`lemma/token/v1\n${text}`))).slice(
      0,
      TOKEN_LENGTH - RANDOM_LENGTH,
    );
  return {
    make(prefix) {
      const text = `${prefix}${toBase64url(randomBytes(32))}`;
      return `${text}${tagOf(text)}`;
    },
    genuine(token) {
      const at = token.length - (TOKEN_LENGTH - RANDOM_LENGTH);
      return at >= RANDOM_LENGTH && sameText(token.slice(at), tagOf(token.slice(0, at)));
    },
  };
}

/**
 * What a secret is looked up by: SHA-256, base64url. How long a look-up takes tells at most of digests, from which no
 * secret of 256 bits can be approached.
 */
export function digestOf(secret: string): string {
  return toBase64url(sha256(encoder.encode(secret)));
}

/** In a time that does not depend on where they differ. */
export function sameText(a: string, b: string): boolean {
  const [left, right] = [encoder.encode(a), encoder.encode(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** An id for people and paths: a prefix and 128 random bits. */
export function newId(prefix: string): string {
  return `${prefix}${toBase64url(randomBytes(16))}`;
}
