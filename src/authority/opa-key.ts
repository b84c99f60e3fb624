import { createECDH, createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from 'node:crypto';
import { toBase64url } from '../crypto/base64url.ts';
import { p256Thumbprint } from '../policy/opa-signature.ts';

/** What signs bundles for stock OPA, and what its configuration needs of it. */
export interface OpaKey {
  readonly key: KeyObject;
  readonly keyid: string;
  /** The public half in PEM. */
  readonly pem: string;
}

/** The order of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3). */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
/** 128 bits more than the order has: what is left of a division is then as good as even (FIPS 186-5, A.2.1). */
const BYTES = 48;

/**
 * OPA verifies no Ed25519. So a key of P-256 goes with the deployment's bundle key: made of its seed, in no file of its
 * own, and another one once that is rotated.
 */
export function opaKeyOf(bundleSeed: () => Uint8Array): () => OpaKey {
  let made: { readonly seed: Uint8Array; readonly key: OpaKey } | null = null;
  return () => {
    const seed = bundleSeed();
    if (made?.seed !== seed) made = { seed, key: keyOf(seed) };
    return made.key;
  };
}

function keyOf(seed: Uint8Array): OpaKey {
  const material = Buffer.from(hkdfSync('sha256', seed, new Uint8Array(), 'lemma/opa-key/v1', BYTES));
  const scalar = (BigInt(`0x${material.toString('hex')}`) % (ORDER - 1n)) + 1n;
  const d = Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex');
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(d);
  const point = ecdh.getPublicKey();
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map(toBase64url);
  const jwk = { kty: 'EC', crv: 'P-256', d: toBase64url(d), x: x ?? '', y: y ?? '' };
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();
  return { key, keyid: p256Thumbprint(key), pem };
}
