import { sha256 } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import { canonicalJson } from '../crypto/jcs.ts';
import type { Lemma } from '../schema/lemma.ts';

const encoder = new TextEncoder();

/** ASCII `lemma/v1/<type>` + `\n` + the RFC 8785 form of the lemma without `signature` and `chain`. */
export function signedBytes(lemma: Omit<Lemma, 'signature'>): Uint8Array {
  const { signature: _signature, chain: _chain, ...signed } = lemma as Lemma & { chain?: unknown };
  return encoder.encode(`lemma/v1/${lemma.type}\n${canonicalJson(signed)}`);
}

/** What a child names as `parent`: SHA-256(signed bytes ‖ the 64 signature bytes), base64url. */
export function parentHash(signed: Uint8Array, signature: Uint8Array): string {
  return toBase64url(sha256(signed, signature));
}
