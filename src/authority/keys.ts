import { join } from 'node:path';
import { hmacSha256, publicKeyOf, randomBytes } from '#runtime';
import { folderOf } from '../config/make-folder.ts';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import type { KeyUse } from '../schema/common.ts';
import {
  createSecret,
  KeyFileError,
  privateFolder,
  readSecret,
  removeSecret,
  replaceSecret,
} from './secret-file.ts';

/** The deployment's secrets, 32 bytes each. Seeds are Ed25519's (RFC 8032). */
export interface Keys {
  /** Signs roots. */
  readonly issuer: Uint8Array;
  /** The operator's root secret: PPID and operator key of each site come from it. */
  readonly rootSecret: Uint8Array;
  /** What the delegate's key of each site comes from. */
  readonly automation: Uint8Array;
  /** Signs checkpoints of the decision log. */
  readonly checkpoint: Uint8Array;
  /** Signs bundles. */
  readonly bundle: Uint8Array;
  /** The operator's API key, `lm_op_…`. */
  readonly operatorKey: string;
  /** Every one of them was made just now: nothing was ever signed here before. */
  readonly created: boolean;
}

/** The file of each key that signs, and so can be rotated. */
const FILES: Readonly<Record<KeyUse, string>> = {
  authority: 'issuer',
  checkpoint: 'checkpoint',
  bundle: 'bundle',
};

const OPERATOR_KEY = /^lm_op_[A-Za-z0-9_-]{43}$/;

export function operatorKeyFile(dataFolder: string): string {
  return join(dataFolder, 'operator.key');
}

/**
 * Reads `<data>/keys/*.key` and `<data>/operator.key`, and makes those that are missing (folder 0700, files 0600; one
 * line of base64url). Throws KeyFileError for a link, for a file that others may read, and for one that holds no key;
 * InputError (`data`) where its folder cannot be made.
 */
export function loadKeys(dataFolder: string): Keys {
  const folder = join(dataFolder, 'keys');
  folderOf('data', () => privateFolder(folder));
  const found: boolean[] = [];
  const secret = (path: string, make: () => string): string => {
    const there = readSecret(path);
    found.push(there !== null);
    if (there !== null) return there;
    const text = make();
    // Another process that starts on this folder now may have been first: its key is then the key.
    return createSecret(path, text) ? text : (readSecret(path) ?? text);
  };
  const seed = (name: string): Uint8Array => {
    const path = join(folder, `${name}.key`);
    return seedOf(
      path,
      secret(path, () => toBase64url(randomBytes(32))),
    );
  };
  const keys = {
    issuer: seed('issuer'),
    rootSecret: seed('operator-root'),
    automation: seed('automation'),
    checkpoint: seed('checkpoint'),
    bundle: seed('bundle'),
  };
  const path = operatorKeyFile(dataFolder);
  const operatorKey = secret(path, () => `lm_op_${toBase64url(randomBytes(32))}`);
  if (!OPERATOR_KEY.test(operatorKey)) throw notAKey(path, 'lm_op_ and 43 base64url characters');
  return { ...keys, operatorKey, created: !found.includes(true) };
}

/** What cursors of the API are authenticated with: the same on every start, and of no other use. */
export function cursorKey({ rootSecret }: Pick<Keys, 'rootSecret'>): Uint8Array {
  return hmacSha256(rootSecret, new TextEncoder().encode('lemma/cursor/v1'));
}

/** A new key of a use, in a file beside the one that signs; it is put in its place by `installDraft`. */
export function draftKey(dataFolder: string, use: KeyUse): Uint8Array {
  const path = draftFile(dataFolder, use);
  removeSecret(path);
  const seed = randomBytes(32);
  createSecret(path, toBase64url(seed));
  return seed;
}

/** The draft that a rotation left behind when the process ended in its midst, or null. Throws KeyFileError. */
export function leftDraft(dataFolder: string, use: KeyUse): Uint8Array | null {
  const path = draftFile(dataFolder, use);
  const text = readSecret(path);
  return text === null ? null : seedOf(path, text);
}

/** The key of a use in its file, or null where there is none. Throws KeyFileError. */
export function keyInFile(dataFolder: string, use: KeyUse): Uint8Array | null {
  const path = keyFile(dataFolder, use);
  const text = readSecret(path);
  return text === null ? null : seedOf(path, text);
}

/** From now on the draft is the key; the private half of the one before is gone. */
export function installDraft(dataFolder: string, use: KeyUse): void {
  replaceSecret(draftFile(dataFolder, use), keyFile(dataFolder, use));
}

export function dropDraft(dataFolder: string, use: KeyUse): void {
  removeSecret(draftFile(dataFolder, use));
}

function keyFile(dataFolder: string, use: KeyUse): string {
  return join(dataFolder, 'keys', `${FILES[use]}.key`);
}

function draftFile(dataFolder: string, use: KeyUse): string {
  return `${keyFile(dataFolder, use)}.next`;
}

function seedOf(path: string, text: string): Uint8Array {
  const bytes = fromBase64url(text);
  if (bytes?.length !== 32) throw notAKey(path, '32 bytes as base64url');
  return bytes;
}

function notAKey(path: string, form: string): KeyFileError {
  return new KeyFileError(
    path,
    `does not hold one line of ${form}: restore it, or move it away to get a new one`,
  );
}

/** The public half of a seed, as trust entries and verifiers of checkpoints have it (RFC 8037). `kid` is its thumbprint. */
export function publicJwk(seed: Uint8Array): { kty: 'OKP'; crv: 'Ed25519'; x: string; kid: string } {
  const key = publicKeyOf(seed);
  return { kty: 'OKP', crv: 'Ed25519', x: toBase64url(key), kid: thumbprint(key) };
}
