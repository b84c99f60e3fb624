import { verifyEd25519 } from '#runtime';
import { fromBase64url } from '../crypto/base64url.ts';
import { canonicalJson } from '../crypto/jcs.ts';

/** What the authority says to its nodes: a JSON document, the thumbprint of the key that signed it, and the signature. */
export type Signed<T> = T & { readonly keyid: string; readonly signature: string };

/** The key that signs now. `sign` gives base64url. */
export interface FeedKey {
  readonly keyid: string;
  readonly sign: (bytes: Uint8Array) => string;
}

/** Public keys (32 bytes) of the authority by their RFC 7638 thumbprints. */
export type FeedKeys = ReadonlyMap<string, Uint8Array>;

/** What came is not what the authority signed, or not what may come now. Nothing of it counts. */
export class FeedError extends Error {
  override readonly name = 'FeedError';
  readonly code: 'malformed' | 'key_unknown' | 'signature_invalid' | 'out_of_order';

  constructor(code: FeedError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** What a signature covers: `lemma/<kind>/v1\n` + JCS (RFC 8785) of the document with `keyid` and without `signature`. */
export function statementBytes(kind: string, document: object): Uint8Array {
  return new TextEncoder().encode(`lemma/${kind}/v1\n${canonicalJson(document)}`);
}

export function signStatement<T extends object>(kind: string, document: T, key: FeedKey): Signed<T> {
  const unsigned = { ...document, keyid: key.keyid };
  return { ...unsigned, signature: key.sign(statementBytes(kind, unsigned)) };
}

/** @throws FeedError key_unknown, signature_invalid */
export function verifyStatement<T extends object>(kind: string, signed: Signed<T>, keys: FeedKeys): void {
  const { signature, ...unsigned } = signed;
  const key = keys.get(signed.keyid);
  if (key === undefined) throw new FeedError('key_unknown', `the ${kind} is signed by ${signed.keyid}`);
  const bytes = fromBase64url(signature);
  if (bytes === null || !verifyEd25519(bytes, statementBytes(kind, unsigned), key))
    throw new FeedError('signature_invalid', `the signature of the ${kind} does not hold`);
}
