import { signEd25519 } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import { handoverBytes } from '../feed/handover.ts';

/** The key that signs until now, by its seed, says which one signs from now on. Base64url. */
export function handOver(use: string, { kid, x }: { kid: string; x: string }, seed: Uint8Array): string {
  return toBase64url(signEd25519(handoverBytes({ use, kid, x }), seed));
}
