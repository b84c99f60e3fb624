import { signEd25519 } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import { canonicalJson } from '../crypto/jcs.ts';

/**
 * What an operator's site key signs to sign in to a control plane. `origin` is the site as the wallet sees it, never as
 * somebody says; `key` the public key, base64url; `expires_at` the challenge's, whole seconds.
 */
export interface SignIn {
  readonly origin: string;
  readonly org: string;
  readonly env: string;
  /** `did:lemma:ppid_…` */
  readonly subject: string;
  readonly key: string;
  readonly challenge: string;
  readonly expires_at: number;
}

/** ASCII `lemma/session/v1` + `\n` + the RFC 8785 form: no lemma and no PoP begins so. */
export function signInBytes(signIn: SignIn): Uint8Array {
  const { origin, org, env, subject, key, challenge, expires_at } = signIn;
  const statement = { origin, org, env, subject, key, challenge, expires_at };
  return new TextEncoder().encode(`lemma/session/v1\n${canonicalJson(statement)}`);
}

/** The signature, base64url, by the operator's seed for the site (`operatorSeed`). */
export function signSignIn(signIn: SignIn, seed: Uint8Array): string {
  return toBase64url(signEd25519(signInBytes(signIn), seed));
}
