import type { FromSchema } from 'json-schema-to-ts';
import { BYTES32_PATTERN, LEMMA_ID_PATTERN } from './common.ts';

/** The payload of a legacy token `lm_at_…`: what an authority vouches for, so that a node verifies it with no look-up. */

const seconds = { type: 'integer', minimum: 0 } as const;

/**
 * `links`: the lemmas of the proof, root first, without their signatures: a token must not hold the credential that it
 * was made of. Each is checked as a lemma is. `id` is shaped like a lemma's, so that it is revoked like one.
 */
export const tokenSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['v', 'id', 'issuer', 'issued_at', 'not_before', 'expires_at', 'scope', 'audience', 'links'],
  properties: {
    v: { const: 1 },
    id: { type: 'string', pattern: LEMMA_ID_PATTERN },
    issuer: { type: 'string', pattern: BYTES32_PATTERN, description: 'Thumbprint of the key that signed it' },
    issued_at: seconds,
    not_before: seconds,
    expires_at: seconds,
    scope: { type: 'array', maxItems: 64, items: { type: 'string' } },
    audience: { type: 'array', minItems: 1, maxItems: 16, items: { type: 'string' } },
    links: { type: 'array', minItems: 3, maxItems: 6, items: { type: 'object' } },
  },
} as const;

export type TokenPayload = FromSchema<typeof tokenSchema>;

/** What a legacy token starts with, in `Authorization: Bearer …`. */
export const TOKEN_PREFIX = 'lm_at_';
/** The longest life of a token, seconds, and the one that it gets when nobody asks. */
export const TOKEN_TTL = { most: 900, usual: 300 } as const;
