import { randomBytes, sha256 } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { canonicalJson } from '../crypto/jcs.ts';
import type { Lemma } from '../schema/lemma.ts';

const encoder = new TextEncoder();

/** What every lemma says; times in whole seconds since 1970. */
export interface Terms {
  /** The holder's Ed25519 public key. */
  readonly key: Uint8Array;
  readonly audience: readonly string[];
  readonly scope: readonly string[];
  readonly issued_at: number;
  readonly not_before?: number;
  readonly expires_at: number;
}

export interface Statement {
  readonly type: Lemma['type'];
  readonly claims: object;
  /** Of a root; any other link has its parent's. */
  readonly subject?: string;
}

/** A lemma with an id of its own, before it is checked or signed. `issuer` is the thumbprint of the key that will sign it. */
export function stateLemma(
  statement: Statement,
  terms: Terms,
  parent: Lemma | null,
  issuer: string,
): Omit<Lemma, 'signature'> {
  return {
    v: 1,
    type: statement.type,
    id: `lem_${toBase64url(randomBytes(16))}`,
    issuer,
    subject: parent?.subject ?? statement.subject,
    key: toBase64url(terms.key),
    audience: [...terms.audience],
    scope: [...terms.scope],
    issued_at: terms.issued_at,
    not_before: terms.not_before ?? terms.issued_at,
    expires_at: terms.expires_at,
    ...(parent === null ? {} : { parent: hashOf(parent) }),
    claims: statement.claims,
  } as Omit<Lemma, 'signature'>;
}

/** ASCII `lemma/v1/<type>` + `\n` + the RFC 8785 form of the lemma without `signature` and `chain`. */
export function signedBytes(lemma: Omit<Lemma, 'signature'>): Uint8Array {
  const { signature: _signature, chain: _chain, ...signed } = lemma as Lemma & { chain?: unknown };
  return encoder.encode(`lemma/v1/${lemma.type}\n${canonicalJson(signed)}`);
}

/** What a child names as `parent`: SHA-256(signed bytes ‖ the 64 signature bytes), base64url. */
export function parentHash(signed: Uint8Array, signature: Uint8Array): string {
  return toBase64url(sha256(signed, signature));
}

function hashOf(lemma: Lemma): string {
  return parentHash(signedBytes(lemma), fromBase64url(lemma.signature) ?? new Uint8Array());
}
