import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Problem } from '../reason.ts';
import type { OpaAlgorithm } from '../schema/bundle.ts';
import type { Config, OpaKeyEntry } from '../schema/config.ts';

/** What OPA's `keys` say of one. */
export interface OpaKeyRead {
  readonly algorithm: OpaAlgorithm;
  readonly key: KeyObject;
  readonly scope?: string | undefined;
}

export interface OpaKeysRead {
  readonly keys: ReadonlyMap<string, OpaKeyRead>;
  readonly problems: readonly Problem[];
}

export function isPem(text: string): boolean {
  return text.trimStart().startsWith('-----BEGIN ');
}

/** The public keys of `bundles.opa_keys`, and what is wrong with the others. */
export function readOpaKeys({ bundles }: Pick<Config, 'bundles'>): OpaKeysRead {
  const keys = new Map<string, OpaKeyRead>();
  const problems: Problem[] = [];
  for (const [id, entry] of Object.entries(bundles.opa_keys)) {
    const read = keyOf(entry);
    if (typeof read === 'string') problems.push({ field: `bundles.opa_keys.${id}.key`, message: read });
    else keys.set(id, { algorithm: entry.algorithm, key: read, scope: entry.scope });
  }
  return { keys, problems };
}

/** The key, or what is wrong with it. */
function keyOf({ algorithm, key: given }: OpaKeyEntry): KeyObject | string {
  const text = isPem(given) ? given : textOf(given);
  if (text === null) return `no such file: ${given}`;
  if (text.includes('PRIVATE KEY')) return 'is a private key: give the public one';
  const key = publicKey(text);
  if (key === null) return 'must be a public key in PEM';
  return fitsAlgorithm(algorithm, key) ? key : MUST[algorithm];
}

/** Whether a key is of the kind that the algorithm is for, and strong enough (RFC 7518 section 3.3: RSA of 2048 bits). */
export function fitsAlgorithm(algorithm: OpaAlgorithm, key: KeyObject): boolean {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  switch (algorithm) {
    case 'RS256':
      return key.asymmetricKeyType === 'rsa' && modulusLength >= 2048;
    case 'ES256':
      return key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1';
    case 'EdDSA':
      return key.asymmetricKeyType === 'ed25519';
  }
}

const MUST: Readonly<Record<OpaAlgorithm, string>> = {
  RS256: 'must be an RSA key of 2048 bits or more for RS256',
  ES256: 'must be a key of P-256 for ES256',
  EdDSA: 'must be an Ed25519 key for EdDSA',
};

function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function publicKey(pem: string): KeyObject | null {
  try {
    return createPublicKey(pem);
  } catch {
    return null;
  }
}
