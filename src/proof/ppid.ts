import { hmacSha256 } from '#runtime';

/**
 * Pairwise ids and operator keys of a wallet (proofs.md). `rootSecret` is 32 bytes, `host` a WHATWG URL hostname.
 */
export function ppidOf(rootSecret: Uint8Array, host: string): string {
  const mac = hmacSha256(checked(rootSecret), prefixed('lemma/ppid/v1'), prefixed(host));
  return `ppid_${Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/** `did:lemma:` form of a PPID, as in a lemma's `subject`. */
export function subjectOf(rootSecret: Uint8Array, host: string): string {
  return `did:lemma:${ppidOf(rootSecret, host)}`;
}

/** The operator's n-th Ed25519 seed for a site, n from 0. */
export function operatorSeed(rootSecret: Uint8Array, host: string, n: number): Uint8Array {
  if (!Number.isInteger(n) || n < 0 || n > 0xffff_ffff)
    throw new RangeError('n: a whole number from 0 to 2^32 - 1');
  const counter = new Uint8Array(4);
  new DataView(counter.buffer).setUint32(0, n);
  return hmacSha256(checked(rootSecret), prefixed('lemma/key/v1'), prefixed(host), counter);
}

function checked(rootSecret: Uint8Array): Uint8Array {
  if (rootSecret.length !== 32) throw new RangeError('rootSecret: must be 32 bytes');
  return rootSecret;
}

/** The length as a 16-bit big-endian number, then the bytes. */
function prefixed(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length === 0 || bytes.length > 0xffff) throw new RangeError('host: 1 to 65535 bytes');
  const out = new Uint8Array(bytes.length + 2);
  new DataView(out.buffer).setUint16(0, bytes.length);
  out.set(bytes, 2);
  return out;
}
