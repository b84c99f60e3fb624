import { sha256 } from '#runtime';
import { toBase64url } from './base64url.ts';

const encoder = new TextEncoder();

/**
 * Key id of an Ed25519 public key: RFC 7638 over the members that RFC 8037 (appendix A.3) names, SHA-256, base64url.
 * Throws RangeError when the key is not 32 bytes.
 */
export function thumbprint(publicKey: Uint8Array): string {
  if (publicKey.length !== 32) throw new RangeError(`key: ${publicKey.length} bytes, must be 32`);
  return toBase64url(sha256(encoder.encode(`{"crv":"Ed25519","kty":"OKP","x":"${toBase64url(publicKey)}"}`)));
}
