import { hmacSha256, publicKeyOf } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import { operatorSeed, subjectOf } from '../proof/ppid.ts';
import type { Keys } from './keys.ts';

/** Who the embedded operator is at this site. Seeds are Ed25519's. */
export interface Identity {
  /** `did:lemma:ppid_…` */
  readonly subject: string;
  readonly operatorSeed: Uint8Array;
  /** The delegate that binds runtimes. One for each site, so that its key links no two (proofs.md). */
  readonly automationSeed: Uint8Array;
}

/** `publicUrl` is the origin that people reach the control plane by; null: `localhost`. */
export function siteHost(publicUrl: string | null): string {
  return publicUrl === null ? 'localhost' : new URL(publicUrl).hostname;
}

/** What the embedded owner is known by at a site, when he signs in. */
export function ownerAt(
  host: string,
  keys: Pick<Keys, 'rootSecret' | 'automation'>,
): { readonly subject: string; readonly keys: readonly string[] } {
  const { subject, operatorSeed: seed } = identityOf(keys, host);
  return { subject, keys: [toBase64url(publicKeyOf(seed))] };
}

/** What the control planes of a deployment share to know again what one of them gave out. */
export function accessSecret({ automation }: Pick<Keys, 'automation'>): Uint8Array {
  return hmacSha256(automation, new TextEncoder().encode('lemma/access/v1'));
}

/** `host` is a WHATWG URL hostname. */
export function identityOf(keys: Pick<Keys, 'rootSecret' | 'automation'>, host: string): Identity {
  return {
    subject: subjectOf(keys.rootSecret, host),
    operatorSeed: operatorSeed(keys.rootSecret, host, 0),
    automationSeed: operatorSeed(keys.automation, host, 0),
  };
}
