import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { readSecret } from '../authority/secret-file.ts';
import { fitsAlgorithm, type OpaKeyRead } from '../config/opa-keys.ts';
import { fromBase64url } from '../crypto/base64url.ts';
import { OPA_ALGORITHMS } from '../schema/bundle.ts';
import type { Call } from './command.ts';
import { CliError, EXIT } from './exit.ts';

/** The Ed25519 seed in a file of mode 0600, one line of base64url. Throws CliError, KeyFileError. */
export function readSeed(call: Call, named: string): Uint8Array {
  const path = resolve(call.folder, named);
  const text = readSecret(path);
  if (text === null) throw unusable(`${path} is not there: give the file of a private key`);
  const seed = fromBase64url(text);
  if (seed?.length === 32) return seed;
  throw unusable(`${path} does not hold one line of 32 bytes as base64url`);
}

/** Public keys, 32 bytes each: base64url, a JWK, or a file that holds a JWK or a JWK set. Throws CliError. */
export function publicKeys(call: Call, texts: readonly string[]): Uint8Array[] {
  return texts.flatMap((text) => {
    const plain = fromBase64url(text);
    if (plain?.length === 32) return [plain];
    if (text.startsWith('{')) return keysOf(text, 'the key');
    const path = resolve(call.folder, text);
    if (existsSync(path)) return keysOf(readFileSync(path, 'utf8'), path);
    throw unusable(`"${text}" is neither 32 bytes as base64url, nor a JWK, nor a file that holds one`);
  });
}

/** A P-256 private key in PEM, in a file of mode 0600: what signs for stock OPA. Throws CliError, KeyFileError. */
export function readOpaKey(call: Call, named: string): KeyObject {
  const path = resolve(call.folder, named);
  const text = readSecret(path);
  if (text === null) throw unusable(`${path} is not there: give the file of a private key`);
  const key = keyOr(() => createPrivateKey(text));
  if (key !== null && fitsAlgorithm('ES256', key)) return key;
  throw unusable(`${path} holds no private key of P-256 in PEM, not encrypted`);
}

/** A public key in PEM as OPA takes it, for the algorithm that it fits. Throws CliError. */
export function readOpaVerifier(call: Call, named: string): OpaKeyRead {
  const path = resolve(call.folder, named);
  if (!existsSync(path)) throw unusable(`${path} is not there: give the file of a public key`);
  const text = readFileSync(path, 'utf8');
  if (text.includes('PRIVATE KEY')) throw unusable(`${path} is a private key: give the public one`);
  const key = keyOr(() => createPublicKey(text));
  const algorithm = key === null ? undefined : OPA_ALGORITHMS.find((one) => fitsAlgorithm(one, key));
  if (key !== null && algorithm !== undefined) return { algorithm, key };
  throw unusable(`${path} holds no public key of P-256, RSA (2048 bits) or Ed25519 in PEM`);
}

/** What OpenSSL says of one that is none helps nobody. */
function keyOr(read: () => KeyObject): KeyObject | null {
  try {
    return read();
  } catch {
    return null;
  }
}

function keysOf(text: string, where: string): Uint8Array[] {
  const value = jsonOf(text, where);
  const keys = isObject(value) && Array.isArray(value.keys) ? value.keys : [value];
  return keys.map((key: unknown) => {
    if (isObject(key) && 'd' in key) throw unusable(`${where} is a private key: give the public one`);
    const x = isObject(key) && key.kty === 'OKP' && key.crv === 'Ed25519' ? key.x : undefined;
    const bytes = typeof x === 'string' ? fromBase64url(x) : null;
    if (bytes?.length === 32) return bytes;
    throw unusable(`${where} is no JWK of Ed25519: {"kty": "OKP", "crv": "Ed25519", "x": "…"}`);
  });
}

function jsonOf(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unusable(`${where} is not JSON: give a JWK`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unusable(message: string): CliError {
  return new CliError('key_invalid', message, EXIT.misused);
}
