import { etc, getPublicKey, hashes, Point, sign } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';
import { encodingProblem, requireSeed, signaturePlausible } from './ed25519-encoding.ts';
import { type Ed25519Engine, NOT_ON_CURVE } from './ed25519-engine.ts';

hashes.sha512 = sha512;

const ORDER = Point.CURVE().n;

/** Portable: loads in a browser. Not constant-time in its verifying, which handles nothing secret. */
export const noble: Ed25519Engine = {
  name: 'noble',

  // Not noble's own `verify`: that one multiplies by the cofactor, and so accepts what the profile refuses.
  verify(signature, message, publicKey) {
    if (!signaturePlausible(signature)) return false;
    const key = decodeKey(publicKey);
    if (typeof key === 'string') return false;
    const r = signature.subarray(0, 32);
    const s = littleEndian(signature.subarray(32));
    const k = littleEndian(sha512(etc.concatBytes(r, publicKey, message))) % ORDER;
    const expected = Point.BASE.multiplyUnsafe(s).subtract(key.multiplyUnsafe(k)).toBytes();
    // Bytes, not points: another encoding of the right R is another signature.
    return expected.every((byte, i) => byte === r[i]);
  },

  sign(message, seed) {
    requireSeed(seed);
    return sign(message, seed);
  },

  publicKeyOf(seed) {
    requireSeed(seed);
    return getPublicKey(seed);
  },

  keyProblem(publicKey) {
    const key = decodeKey(publicKey);
    return typeof key === 'string' ? key : null;
  },
};

/** The point, or why the key is weak. */
function decodeKey(publicKey: Uint8Array): Point | string {
  const problem = encodingProblem(publicKey);
  if (problem !== null) return problem;
  try {
    return Point.fromBytes(publicKey);
  } catch {
    return NOT_ON_CURVE;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${etc.bytesToHex(Uint8Array.from(bytes).reverse())}`);
}
