import { encodeCredential } from '../proof/credential.ts';
import { preparePop } from '../proof/sign-pop.ts';
import type { CredentialJson } from '../schema/lemma.ts';
import type { Credential } from './credential.ts';
import type { LemmaKey } from './key.ts';

/** A request as it will be sent. */
export interface Attachment {
  readonly credential: Credential;
  /** Of the credential's leaf; null: the credential is shown as a bearer's. */
  readonly key: LemmaKey | null;
  readonly method: string;
  /** Absolute, its path in normal form. */
  readonly url: string;
  readonly body: Uint8Array | null;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** X-Lemma-Credential; or, with a key, X-Lemma-Proof, X-Lemma-PoP and, for a body, Content-Digest. Names in lower case. */
export async function signedHeaders(request: Attachment): Promise<Record<string, string>> {
  const { credential, key, method, url, body, now } = request;
  const value = headerValue(credential);
  if (key === null) return { 'x-lemma-credential': value };
  const { base, headers } = preparePop({
    ...{ method, url, proof: value, keyid: key.kid },
    created: Math.floor(now / 1000),
    ...(body === null ? {} : { body }),
  });
  return headers(await key.sign(base));
}

const values = new WeakMap<Credential, string>();

/** Value of X-Lemma-Credential or X-Lemma-Proof. */
export function headerValue(credential: Credential): string {
  const value = values.get(credential) ?? encodeCredential(credential as unknown as CredentialJson);
  values.set(credential, value);
  return value;
}
