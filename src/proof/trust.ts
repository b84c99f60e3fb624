import { keyProblem, sha256 } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { canonicalJson } from '../crypto/jcs.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { InputError, type Problem } from '../reason.ts';

export interface TrustEntry {
  readonly org: string;
  readonly env: string;
  readonly keys: readonly { readonly x: string; readonly kid?: string | undefined }[];
}

/** Whose roots count: issuer keys by thumbprint, each for the orgs and envs it was named for. */
export interface TrustSet {
  /** Changes whenever the set does; part of the chain cache's key. */
  readonly version: string;
  /** The key, or null where the thumbprint is not trusted at all. */
  key(issuer: string): Uint8Array | null;
  trusts(issuer: string, org: string, env: string): boolean;
}

/** Throws InputError for a key that is weak, or whose `kid` is not its thumbprint. */
export function createTrust(entries: readonly TrustEntry[]): TrustSet {
  const keys = new Map<string, Uint8Array>();
  const realms = new Set<string>();
  const problems: Problem[] = [];
  for (const [i, entry] of entries.entries()) {
    for (const [k, jwk] of entry.keys.entries()) {
      const field = `trust[${i}].keys[${k}]`;
      const key = fromBase64url(jwk.x);
      const weak = key === null ? 'not canonical base64url of 32 bytes' : keyProblem(key);
      if (key === null || weak !== null) {
        problems.push({ field: `${field}.x`, message: `not a usable Ed25519 key: ${weak}` });
        continue;
      }
      const issuer = thumbprint(key);
      if (jwk.kid !== undefined && jwk.kid !== issuer) {
        problems.push({ field: `${field}.kid`, message: `must be the key's RFC 7638 thumbprint, ${issuer}` });
      }
      keys.set(issuer, key);
      realms.add(realm(issuer, entry.org, entry.env));
    }
  }
  if (problems.length > 0) throw new InputError(problems);
  return {
    version: toBase64url(sha256(new TextEncoder().encode(canonicalJson([...realms].sort())))),
    key: (issuer) => keys.get(issuer) ?? null,
    trusts: (issuer, org, env) => realms.has(realm(issuer, org, env)),
  };
}

function realm(issuer: string, org: string, env: string): string {
  return `${issuer} ${org} ${env}`;
}
