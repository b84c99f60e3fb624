import { toBase64url } from '../crypto/base64url.ts';
import type { CredentialJson, Lemma } from '../schema/lemma.ts';

/** A leaf with its ancestors: links root first, leaf last. */
export function credentialOf(links: readonly Lemma[]): CredentialJson {
  const leaf = links.at(-1);
  if (leaf === undefined) throw new RangeError('links: at least one');
  return { ...leaf, chain: links.slice(0, -1) };
}

/** The links of a credential, root first: the inverse of `credentialOf`. */
export function linksOf(credential: CredentialJson): Lemma[] {
  const { chain, ...leaf } = credential;
  return [...chain, leaf as Lemma];
}

/** Value of X-Lemma-Credential or X-Lemma-Proof. */
export function encodeCredential(credential: CredentialJson): string {
  return toBase64url(new TextEncoder().encode(JSON.stringify(credential)));
}
