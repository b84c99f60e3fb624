/** Patterns that several documents share (proofs.md). Binary values are canonical base64url without padding. */

/** `[a-z0-9][a-z0-9._-]{0,63}`: ids in claims, org, env, route and api ids. */
export const ID_PATTERN = '^[a-z0-9][a-z0-9._-]{0,63}$';
/** 16 bytes: 22 characters, the last with four zero bits. */
export const LEMMA_ID_PATTERN = '^lem_[A-Za-z0-9_-]{21}[AQgw]$';
/** 32 bytes: 43 characters, the last with two zero bits. Keys, thumbprints, hashes. */
export const BYTES32_PATTERN = '^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$';
/** 64 bytes: 86 characters, the last with four zero bits. */
export const BYTES64_PATTERN = '^[A-Za-z0-9_-]{85}[AQgw]$';
/** A pairwise subject. */
export const SUBJECT_PATTERN = '^did:lemma:ppid_[0-9a-f]{64}$';
/** A scope of 1 to 8 segments, `*` only as the last of two or more. */
export const SCOPE_PATTERN =
  '^[a-z0-9_-]{1,64}(?:\\.[a-z0-9_-]{1,64}){0,7}$|^[a-z0-9_-]{1,64}(?:\\.[a-z0-9_-]{1,64}){0,6}\\.\\*$';
/** A scope that a route may require: no wildcard. */
export const CONCRETE_SCOPE_PATTERN = '^[a-z0-9_-]{1,64}(?:\\.[a-z0-9_-]{1,64}){0,7}$';
/** RFC 9110 token, as an HTTP method. */
export const METHOD_PATTERN = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$";

/** RFC 9110 field name. */
export const HEADER_PATTERN = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$";

export const PROFILES = ['low', 'high', 'critical'] as const;
export type Profile = (typeof PROFILES)[number];

/** The stricter of two or more profiles. */
export function stricter(...profiles: readonly Profile[]): Profile {
  return PROFILES[Math.max(0, ...profiles.map((p) => PROFILES.indexOf(p)))] as Profile;
}

/** An Ed25519 public key as a JWK (RFC 8037). `kid`, where present, must be its thumbprint. */
export const jwkSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['kty', 'crv', 'x'],
  properties: {
    kty: { const: 'OKP' },
    crv: { const: 'Ed25519' },
    x: { type: 'string', pattern: BYTES32_PATTERN },
    kid: { type: 'string', pattern: BYTES32_PATTERN },
    use: { type: 'string' },
    alg: { type: 'string' },
  },
} as const;

/** What the deployment's own keys sign: roots (issuer), checkpoints of the decision log, bundles. */
export const KEY_USES = ['authority', 'checkpoint', 'bundle'] as const;
export type KeyUse = (typeof KEY_USES)[number];
