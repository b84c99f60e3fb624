import type { FromSchema } from 'json-schema-to-ts';
import { LEMMA_ID_PATTERN, SCOPE_PATTERN, SUBJECT_PATTERN } from './common.ts';
import { TOKEN_TTL } from './token.ts';

/** What the endpoints of legacy tokens take and answer. */

export const exchangeSchema = {
  type: ['object', 'null'],
  additionalProperties: false,
  properties: {
    scope: {
      type: 'array',
      minItems: 1,
      maxItems: 64,
      uniqueItems: true,
      items: { type: 'string', pattern: SCOPE_PATTERN },
      description: "Of the proof's; default: all",
    },
    audience: {
      type: 'array',
      minItems: 1,
      maxItems: 16,
      uniqueItems: true,
      items: { type: 'string', maxLength: 512 },
      description: "Of the proof's; default: all",
    },
    ttl_s: {
      type: 'integer',
      minimum: 1,
      maximum: TOKEN_TTL.most,
      default: TOKEN_TTL.usual,
      description: 'Seconds that it lives; never longer than its proof',
    },
  },
} as const;

/** RFC 7662 section 2.1, RFC 7009 section 2.1. */
export const tokenBodySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['token'],
  properties: {
    token: { type: 'string', minLength: 1, maxLength: 32_768, description: 'lm_at_…' },
    token_type_hint: { type: 'string', maxLength: 64, description: 'Not looked at: there is one type' },
  },
} as const;

export type ExchangeBody = FromSchema<typeof exchangeSchema, { keepDefaultedPropertiesOptional: true }>;
export type TokenBody = FromSchema<typeof tokenBodySchema>;

const strings = { type: 'array', items: { type: 'string' } } as const;
const seconds = { type: 'integer', description: 'Seconds since 1970' } as const;

export const exchangedAnswer = {
  type: 'object',
  required: [
    'success',
    'token',
    'token_type',
    'token_id',
    'runtime_id',
    'scope',
    'audience',
    'expires_in',
    'expires_at',
    'decision_id',
  ],
  properties: {
    success: { const: true },
    token: { type: 'string', description: 'lm_at_…, for Authorization: Bearer' },
    token_type: { const: 'Bearer' },
    token_id: { type: 'string', pattern: LEMMA_ID_PATTERN },
    runtime_id: { type: 'string' },
    scope: strings,
    audience: strings,
    expires_in: { type: 'integer', description: 'Seconds' },
    expires_at: { type: 'string', format: 'date-time' },
    decision_id: { type: 'string' },
  },
} as const;

/** RFC 7662 section 2.2. Of a token that is not good, `active` alone. */
export const introspectedAnswer = {
  type: 'object',
  required: ['active'],
  additionalProperties: false,
  properties: {
    active: { type: 'boolean' },
    scope: { type: 'string', description: 'Space-separated' },
    client_id: { type: 'string', description: 'The runtime' },
    sub: { type: 'string', pattern: SUBJECT_PATTERN },
    aud: strings,
    iss: { type: 'string', description: 'Thumbprint of the key that signed it' },
    exp: seconds,
    iat: seconds,
    nbf: seconds,
    jti: { type: 'string', pattern: LEMMA_ID_PATTERN },
    token_type: { const: 'Bearer' },
  },
} as const;

export const tokenRevokedAnswer = {
  type: 'object',
  required: ['success'],
  properties: { success: { const: true, description: 'Also for a token that is not known' } },
} as const;
