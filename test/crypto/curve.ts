import { createHash } from 'node:crypto';
import { Point } from '@noble/ed25519';

export const P = Point.CURVE().p;
export const L = Point.CURVE().n;
/** A point of order 8. */
const TORSION = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a');

/** `n` times the point of order 8; `n` from 0 to 7 gives every point of small order. */
export function torsion(n: number): Point {
  let sum = Point.ZERO;
  for (let i = 0; i < n % 8; i++) sum = sum.add(TORSION);
  return sum;
}

export function toLittleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

export function fromLittleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}

/** A scalar from a label, the same on each run. */
export function scalar(label: string): bigint {
  return fromLittleEndian(createHash('sha512').update(label).digest()) % L;
}

export function base(n: bigint): Point {
  return Point.BASE.multiplyUnsafe(n);
}

export interface Forgery {
  /** Discrete logarithms of the parts of A and R in the big subgroup. */
  readonly a: bigint;
  readonly r: bigint;
  /** Multiples of the point of order 8 that are added to A and R. */
  readonly tweakA?: number;
  readonly tweakR?: number;
  /** `exact`: [S]B = R + [k]A. `cofactored`: only eight times both sides are equal. */
  readonly equation: 'exact' | 'cofactored';
  /** Another spelling of A or R, which is hashed as it is spelled. */
  readonly spellA?: (encoding: Uint8Array) => Uint8Array;
  readonly spellR?: (encoding: Uint8Array) => Uint8Array;
  /** Added to S. */
  readonly addToS?: bigint;
}

export interface Forged {
  readonly message: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
}

/** Tries messages until the torsion parts meet the equation that is asked for. */
export function forge(wanted: Forgery): Forged {
  const { tweakA = 0, tweakR = 0, spellA = same, spellR = same } = wanted;
  const publicKey = spellA(base(wanted.a).add(torsion(tweakA)).toBytes());
  const r = spellR(base(wanted.r).add(torsion(tweakR)).toBytes());
  for (let i = 0; i < 1000; i++) {
    const message = new TextEncoder().encode(`message ${i}`);
    const hash = createHash('sha512').update(r).update(publicKey).update(message).digest();
    const k = fromLittleEndian(hash) % L;
    const balanced = (BigInt(tweakR) + k * BigInt(tweakA)) % 8n === 0n;
    if (balanced !== (wanted.equation === 'exact')) continue;
    const s = ((wanted.r + k * wanted.a) % L) + (wanted.addToS ?? 0n);
    return { message, publicKey, signature: Buffer.concat([r, toLittleEndian(s)]) };
  }
  throw new Error('no message meets the equation');
}

function same(encoding: Uint8Array): Uint8Array {
  return encoding;
}
