import { publicKeyOf, randomBytes, signEd25519 } from '#runtime';
import { fromBase64url } from '../crypto/base64url.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { LemmaClientError } from './errors.ts';

/** An Ed25519 key that signs. Where it lies, and whether it can be read, is its own affair. */
export interface LemmaKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  /** False where WebCrypto holds the private key and gives it to nobody. */
  readonly extractable: boolean;
  /** RFC 8032. 64 bytes. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

const ALGORITHM = { name: 'Ed25519' } as const;
/** RFC 8410, section 7: what stands before the seed in a PKCS #8 of version 0. */
const PKCS8_PREFIX = Uint8Array.from([
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
]);

/** A new key: in WebCrypto, which does not give it away, where that has Ed25519; else in this program's memory. */
export async function generateKey(): Promise<LemmaKey> {
  const pair = await inWebCrypto((subtle) => subtle.generateKey(ALGORITHM, false, ['sign', 'verify']));
  return pair === null || !('privateKey' in pair) ? fromMemory(randomBytes(32)) : keyOf(pair);
}

/**
 * A key of its seed: 32 bytes, or their base64url, which `lemma firewall-connect` writes to `<runtime>.key`.
 *
 * @throws LemmaClientError `options_invalid`
 */
export async function keyFromSeed(given: Uint8Array | string): Promise<LemmaKey> {
  const seed = typeof given === 'string' ? fromBase64url(given.trim()) : given;
  if (seed?.length !== 32)
    throw new LemmaClientError('options_invalid', 'key: the seed must be 32 bytes, or their base64url');
  const pkcs8 = new Uint8Array([...PKCS8_PREFIX, ...seed]);
  const privateKey = await inWebCrypto((subtle) =>
    subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']),
  );
  pkcs8.fill(0);
  return privateKey === null ? fromMemory(seed) : signing(privateKey, publicKeyOf(seed));
}

/**
 * A key that the caller keeps in WebCrypto, such as in IndexedDB.
 *
 * @throws LemmaClientError `options_invalid`
 */
export async function keyOf(pair: { privateKey: CryptoKey; publicKey: CryptoKey }): Promise<LemmaKey> {
  const { privateKey, publicKey } = pair;
  if (privateKey.algorithm.name !== ALGORITHM.name || !privateKey.usages.includes('sign'))
    throw new LemmaClientError('options_invalid', 'key: must be an Ed25519 key pair that may sign');
  const raw = await globalThis.crypto.subtle.exportKey('raw', publicKey);
  return signing(privateKey, new Uint8Array(raw));
}

function signing(privateKey: CryptoKey, publicKey: Uint8Array): LemmaKey {
  return {
    publicKey,
    kid: thumbprint(publicKey),
    extractable: privateKey.extractable,
    sign: async (message) =>
      new Uint8Array(await globalThis.crypto.subtle.sign(ALGORITHM, privateKey, Uint8Array.from(message))),
  };
}

function fromMemory(seed: Uint8Array): LemmaKey {
  const publicKey = publicKeyOf(seed);
  return {
    publicKey,
    kid: thumbprint(publicKey),
    extractable: true,
    sign: async (message) => signEd25519(message, seed),
  };
}

/** Null where there is no WebCrypto (a page that is not served securely), or none with Ed25519. */
async function inWebCrypto<T>(use: (subtle: SubtleCrypto) => Promise<T>): Promise<T | null> {
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) return null;
  try {
    return await use(subtle);
  } catch (error) {
    if (error instanceof Error && (error.name === 'NotSupportedError' || error.name === 'SyntaxError'))
      return null;
    throw error;
  }
}
