import { signEd25519 } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import { canonicalJson } from '../crypto/jcs.ts';
import type { SignIn } from './sign-in.ts';

/**
 * What an operator signs to have other keys at a site: `key`, which he has there, and `next`, which he has from then on (the same where
 * keys only end). Keys are public, base64url. `ends`: keys that are his no more, `key` perhaps among them.
 */
export interface KeyChange extends SignIn {
  readonly next: string;
  readonly ends: readonly string[];
}

/** ASCII `lemma/key-change/v1` + `\n` + the RFC 8785 form: no signature of a sign-in holds for it. */
export function keyChangeBytes(change: KeyChange): Uint8Array {
  const { origin, org, env, subject, key, next, ends, challenge, expires_at } = change;
  const statement = { origin, org, env, subject, key, next, ends: [...ends], challenge, expires_at };
  return new TextEncoder().encode(`lemma/key-change/v1\n${canonicalJson(statement)}`);
}

/** The signature, base64url, by the seed of `key` or of `next`. */
export function signKeyChange(change: KeyChange, seed: Uint8Array): string {
  return toBase64url(signEd25519(keyChangeBytes(change), seed));
}
