export type EngineName = 'sodium' | 'openssl' | 'noble';

/**
 * Ed25519 under the one strict profile (proofs.md): canonical S, A and R; no small-order A or R; [S]B = R + [k]A without
 * cofactor, bytes of R compared. A canonical point of mixed order is an ordinary key here.
 */
export interface Ed25519Engine {
  readonly name: EngineName;
  /** False for whatever does not hold, wrong lengths among it; never throws. */
  verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
  /** RFC 8032 section 5.1.6, from the 32-byte seed. 64 bytes. Throws RangeError for another length. */
  sign(message: Uint8Array, seed: Uint8Array): Uint8Array;
  /** 32 bytes. Throws RangeError when the seed is not 32 bytes. */
  publicKeyOf(seed: Uint8Array): Uint8Array;
  /** Why a key is weak: not 32 bytes, not canonical, of small order, not on the curve; null when it is none of these. */
  keyProblem(publicKey: Uint8Array): string | null;
}

export const NOT_ON_CURVE = 'not a point of the curve';
