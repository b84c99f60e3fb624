import { publicKeyOf, signEd25519, verifyEd25519 } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { canonicalJson } from '../crypto/jcs.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import type { KeyUse } from '../schema/common.ts';
import type { SigningKey } from '../store/model.ts';

type Statement = Pick<SigningKey, 'use' | 'kid' | 'x' | 'status'>;

/**
 * The current key's word that another of its use is one of this deployment's, and how it stands: "lemma/key/v1\n" + JCS of
 * {v, use, kid, x, status, by}. Without it, who can write the database but has no key could name one of their own.
 */
export function endorse(
  key: Statement,
  seed: Uint8Array,
): { readonly kid: string; readonly signature: string } {
  const by = thumbprint(publicKeyOf(seed));
  return { kid: key.kid, signature: toBase64url(signEd25519(bytesOf(key, by), seed)) };
}

/** Of a history of keys: the current one of a use, where it is `root`, and those that it endorses. */
export function endorsedKeys<K extends SigningKey>(keys: readonly K[], use: KeyUse, root: Uint8Array): K[] {
  const by = thumbprint(root);
  return keys.filter((key) => {
    if (key.use !== use) return false;
    if (key.kid === by) return key.status === 'current' && key.x === toBase64url(root);
    const signature = key.endorsement === null ? null : fromBase64url(key.endorsement);
    const bytes = fromBase64url(key.x);
    if (signature === null || bytes?.length !== 32 || thumbprint(bytes) !== key.kid) return false;
    return key.status !== 'current' && verifyEd25519(signature, bytesOf(key, by), root);
  });
}

function bytesOf({ use, kid, x, status }: Statement, by: string): Uint8Array {
  return new TextEncoder().encode(`lemma/key/v1\n${canonicalJson({ v: 1, use, kid, x, status, by })}`);
}
