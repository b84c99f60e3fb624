import { publicKeyOf } from '#runtime';
import { fromBase64url, toBase64url } from '../../crypto/base64url.ts';
import { operatorSeed, subjectOf } from '../../proof/ppid.ts';
import { signSignIn } from '../../proof/sign-in.ts';
import type { Signer } from './signer.ts';

/**
 * Signs with what a file holds, in memory only: one line of base64url (a wallet's root secret, as
 * `<data>/keys/operator-root.key`), or JSON `{subject, seed}` of one site.
 *
 * @throws Error that says what is wrong with the text
 */
export function keyFileSigner(text: string, host: string = location.hostname): Signer {
  const { subject, seed } = heldBy(text.trim(), host);
  return {
    subject,
    key: toBase64url(publicKeyOf(seed)),
    sign: async (statement) => signSignIn(statement, seed),
  };
}

function heldBy(text: string, host: string): { subject: string; seed: Uint8Array } {
  if (text.startsWith('lm_')) throw new Error('This is an API key. Signing in needs the key of a person.');
  if (!text.startsWith('{')) {
    const root = bytes32(text, 'The key must be one line of 43 base64url characters (32 bytes).');
    return { subject: subjectOf(root, host), seed: operatorSeed(root, host, 0) };
  }
  const { subject, seed } = parsed(text);
  if (typeof subject !== 'string' || !/^did:lemma:ppid_[0-9a-f]{64}$/.test(subject))
    throw new Error('subject: must be did:lemma:ppid_ and 64 hexadecimal digits.');
  return { subject, seed: bytes32(String(seed), 'seed: must be 32 bytes as base64url.') };
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new Error('The file is neither a key nor JSON.');
  }
}

function bytes32(text: string, message: string): Uint8Array {
  const bytes = fromBase64url(text);
  if (bytes?.length !== 32) throw new Error(message);
  return bytes;
}
