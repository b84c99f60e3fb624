import { createRequire } from 'node:module';
import { encodingProblem, requireSeed, signaturePlausible } from './ed25519-encoding.ts';
import { type Ed25519Engine, NOT_ON_CURVE } from './ed25519-engine.ts';

/** The part of sodium-native (which has no types of its own) that is used here. */
interface Sodium {
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
  crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void;
  crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void;
  /** Throws when `a` or `b` is not on the curve. */
  crypto_core_ed25519_add(sum: Uint8Array, a: Uint8Array, b: Uint8Array): void;
  sodium_memzero(bytes: Uint8Array): void;
}

/** The base point: y = 4/5, x even. */
const BASE = new Uint8Array(32).fill(0x66);
BASE[0] = 0x58;

/** Throws whatever the loader throws where sodium-native has no binary for this platform (musl). */
export function loadSodium(): Ed25519Engine {
  return sodiumEngine(createRequire(import.meta.url)('sodium-native') as Sodium);
}

function sodiumEngine(sodium: Sodium): Ed25519Engine {
  const keyPair = (seed: Uint8Array) => {
    requireSeed(seed);
    const publicKey = new Uint8Array(32);
    const secretKey = new Uint8Array(64);
    sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed);
    return { publicKey, secretKey };
  };

  return {
    name: 'sodium',

    // libsodium checks S, A and R itself; checked here too, so that another build of it cannot widen the profile.
    verify(signature, message, publicKey) {
      if (!signaturePlausible(signature) || encodingProblem(publicKey) !== null) return false;
      return sodium.crypto_sign_verify_detached(signature, message, publicKey);
    },

    sign(message, seed) {
      const { secretKey } = keyPair(seed);
      const signature = new Uint8Array(64);
      sodium.crypto_sign_detached(signature, message, secretKey);
      sodium.sodium_memzero(secretKey);
      return signature;
    },

    publicKeyOf(seed) {
      const { publicKey, secretKey } = keyPair(seed);
      sodium.sodium_memzero(secretKey);
      return publicKey;
    },

    // Not crypto_core_ed25519_is_valid_point: it refuses points of mixed order, which the profile accepts.
    keyProblem(publicKey) {
      const problem = encodingProblem(publicKey);
      if (problem !== null) return problem;
      try {
        sodium.crypto_core_ed25519_add(new Uint8Array(32), publicKey, BASE);
        return null;
      } catch {
        return NOT_ON_CURVE;
      }
    },
  };
}
