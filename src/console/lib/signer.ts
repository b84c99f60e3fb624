import type { SignIn } from '../../proof/sign-in.ts';

/** Whoever holds an operator's site key: a key file, or the wallet of this origin. */
export interface Signer {
  /** `did:lemma:ppid_…` at this site. */
  readonly subject: string;
  /** The Ed25519 public key for this site, base64url. */
  readonly key: string;
  /** Signs in to the site that the browser is at. Gives the signature, base64url. */
  sign(statement: SignIn): Promise<string>;
}
