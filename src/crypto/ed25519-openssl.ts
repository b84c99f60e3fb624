import {
  createPrivateKey,
  createPublicKey,
  sign as cryptoSign,
  verify as cryptoVerify,
  type KeyObject,
} from 'node:crypto';
import { encodingProblem, requireSeed, signaturePlausible } from './ed25519-encoding.ts';
import type { Ed25519Engine } from './ed25519-engine.ts';
import { noble } from './ed25519-noble.ts';

/** RFC 8410: what stands before the 32 raw bytes in a DER SubjectPublicKeyInfo and PrivateKeyInfo. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
/** Making a key object costs about as much as a verification; an issuer's key comes again and again. */
const REMEMBERED_KEYS = 1024;

const keyObjects = new Map<string, KeyObject>();

/**
 * node:crypto, for where sodium-native has no binary. OpenSSL uses the cofactorless equation and compares R by bytes,
 * but takes small-order and non-canonical keys: the checks around it make the profile.
 */
export const openssl: Ed25519Engine = {
  name: 'openssl',

  verify(signature, message, publicKey) {
    if (!signaturePlausible(signature) || encodingProblem(publicKey) !== null) return false;
    return cryptoVerify(null, message, keyObject(publicKey), signature);
  },

  sign(message, seed) {
    return new Uint8Array(cryptoSign(null, message, privateKey(seed)));
  },

  publicKeyOf(seed) {
    const spki = createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' });
    return new Uint8Array(spki.subarray(SPKI_PREFIX.length));
  },

  // node:crypto has no call that says whether a point is on the curve.
  keyProblem: noble.keyProblem,
};

function keyObject(publicKey: Uint8Array): KeyObject {
  const name = Buffer.from(publicKey).toString('latin1');
  const known = keyObjects.get(name);
  if (known !== undefined) return known;
  const made = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
  if (keyObjects.size >= REMEMBERED_KEYS) keyObjects.clear();
  keyObjects.set(name, made);
  return made;
}

function privateKey(seed: Uint8Array): KeyObject {
  requireSeed(seed);
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}
