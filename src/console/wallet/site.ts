import { publicKeyOf } from '#runtime';
import { toBase64url } from '../../crypto/base64url.ts';
import { operatorSeed, subjectOf } from '../../proof/ppid.ts';
import { signSignIn } from '../../proof/sign-in.ts';
import type { Signer } from '../lib/signer.ts';
import { numberAt } from './key-number.ts';

/** Who a wallet is at one site. No two sites can tell that it is the same. */
export interface SiteEntry {
  readonly host: string;
  /** `did:lemma:ppid_…` */
  readonly subject: string;
  /** Ed25519 public key, base64url. */
  readonly key: string;
}

/** `n`: of its keys for the site; default: the one in use. */
export function entryAt(rootSecret: Uint8Array, host: string, n = numberAt(host)): SiteEntry {
  const seed = operatorSeed(rootSecret, host, n);
  const key = toBase64url(publicKeyOf(seed));
  seed.fill(0);
  return { host, subject: subjectOf(rootSecret, host), key };
}

/** `host`: of the site that the browser is at. */
export function walletSigner(rootSecret: Uint8Array, host: string, n = numberAt(host)): Signer {
  const { subject, key } = entryAt(rootSecret, host, n);
  return {
    subject,
    key,
    async sign(statement) {
      const seed = operatorSeed(rootSecret, host, n);
      const signature = signSignIn(statement, seed);
      seed.fill(0);
      return signature;
    },
  };
}

/** The hostname in an address or a name as somebody types it, as browsers have it; null: there is none. */
export function hostIn(text: string): string | null {
  const typed = text.trim();
  try {
    const { hostname } = new URL(/^https?:\/\//i.test(typed) ? typed : `https://${typed}`);
    return hostname === '' ? null : hostname;
  } catch {
    return null;
  }
}

/** For whoever adds operators there. */
export function addCommand({ subject, key }: SiteEntry): string {
  return `lemma operators add ${subject} --key ${key} --role operator --name "…"`;
}
