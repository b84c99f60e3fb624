/**
 * What can be told from an Ed25519 encoding's bytes alone, the same for every engine (RFC 8032, sections 5.1.2, 5.1.3
 * and 5.1.7). All numbers are little-endian; the top bit of a point's last byte is the sign of x.
 */

const KEY_LENGTH = 32;
const SEED_LENGTH = 32;
const SIGNATURE_LENGTH = 64;

const P = littleEndian(2n ** 255n - 19n);
const L = littleEndian(2n ** 252n + 27742317777372353535851937790883648493n);
/** x = 0 here and nowhere else, so that a sign bit on these is a second encoding of the same point. */
const Y_WHERE_X_IS_0 = [littleEndian(1n), littleEndian(2n ** 255n - 20n)];
/** y of the eight points whose order divides the cofactor: orders 1, 2, 4, 8 and 8. */
const SMALL_ORDER_Y = [
  ...Y_WHERE_X_IS_0,
  littleEndian(0n),
  littleEndian(0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n),
  littleEndian(0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n),
];

/** Why 32 bytes cannot be a key or an R before the curve is asked, or null. */
export function encodingProblem(bytes: Uint8Array): string | null {
  if (bytes.length !== KEY_LENGTH) return `${bytes.length} bytes, not ${KEY_LENGTH}`;
  const sign = (bytes[31] ?? 0) & 0x80;
  if (!lessThan(bytes, P, 0x7f)) return 'not a canonical encoding: y is not below p';
  if (sign !== 0 && Y_WHERE_X_IS_0.some((known) => equalY(bytes, known))) {
    return 'not a canonical encoding: x is 0 and its sign bit is set';
  }
  if (SMALL_ORDER_Y.some((known) => equalY(bytes, known))) return 'of small order';
  return null;
}

/** Whether a signature's shape allows it to hold at all: its length, its R by bytes, its S below the group's order. */
export function signaturePlausible(signature: Uint8Array): boolean {
  return (
    signature.length === SIGNATURE_LENGTH &&
    encodingProblem(signature.subarray(0, 32)) === null &&
    lessThan(signature.subarray(32), L)
  );
}

/** Throws RangeError: a seed is 32 bytes. */
export function requireSeed(seed: Uint8Array): void {
  if (seed.length !== SEED_LENGTH) throw new RangeError(`seed: ${seed.length} bytes, must be ${SEED_LENGTH}`);
}

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** `topMask` says which bits of the last byte of `a` count. */
function lessThan(a: Uint8Array, b: Uint8Array, topMask = 0xff): boolean {
  for (let i = 31; i >= 0; i--) {
    const byte = (a[i] ?? 0) & (i === 31 ? topMask : 0xff);
    const difference = byte - (b[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** Whatever the sign of x is. */
function equalY(point: Uint8Array, y: Uint8Array): boolean {
  for (let i = 0; i < 31; i++) if (point[i] !== y[i]) return false;
  return ((point[31] ?? 0) & 0x7f) === y[31];
}
