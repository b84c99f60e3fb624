import type { FromSchema } from 'json-schema-to-ts';
import { TRACE_MODES } from './api-explain.ts';
import {
  BYTES32_PATTERN,
  HEADER_PATTERN,
  ID_PATTERN,
  KEY_USES,
  LEMMA_ID_PATTERN,
  METHOD_PATTERN,
  PROFILES,
  SCOPE_PATTERN,
  SUBJECT_PATTERN,
} from './common.ts';
import { boundsSchema, budgetSchema, delegationClaimsSchema } from './lemma.ts';

/** What the REST API takes (interfaces.md, "REST"), and the codes that it refuses with. */

/**
 * Codes of `error` in an answer that is not a decision's, with their HTTP status. Decisions answer with their reason
 * (`src/reason.ts`); where a code stands in both, the status here is for verbs that cannot be done.
 */
export const API_ERRORS = {
  invalid_request: 400,
  /** RFC 8628, section 3.5, and RFC 6749, section 5.2: their codes, in our shape. */
  authorization_pending: 400,
  slow_down: 400,
  access_denied: 400,
  expired_token: 400,
  invalid_grant: 400,
  unsupported_grant_type: 400,
  key_weak: 400,
  auth_required: 401,
  forbidden: 403,
  not_found: 404,
  request_timeout: 408,
  conflict: 409,
  moved: 409,
  revoked: 409,
  runtime_inactive: 409,
  runtime_killed: 409,
  bundle_rejected: 409,
  bundle_rollback: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  rate_limited: 429,
  headers_too_large: 431,
  internal_error: 500,
  state_not_ready: 503,
  store_unavailable: 503,
  insufficient_storage: 507,
} as const;
export type ApiErrorCode = keyof typeof API_ERRORS;

/** The longest life of a proof, seconds, and the one it gets when nobody asks (proofs.md: a runtime lives 24 hours). */
export const PROOF_TTL = { most: 86_400, usual: 3600 } as const;
export const PAGE_LIMIT = { most: 1000, usual: 100 } as const;

export const id = { type: 'string', pattern: ID_PATTERN } as const;
export const thumbprint = { type: 'string', pattern: BYTES32_PATTERN } as const;
/** Shown to people and kept in events: nothing that could forge a line or hide text. */
export const note = { type: 'string', pattern: '^[^\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]{1,500}$' } as const;
/** No control characters but the tab, as RFC 9110 section 5.5 has field values. */
const FIELD_VALUE_PATTERN = '^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$';

export const runtimeParamsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id'],
  properties: { id: { ...id, description: 'The runtime' } },
} as const;

export const bootstrapSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['runtime_id', 'agent_id', 'workspace_id'],
  properties: {
    runtime_id: { ...id, description: 'Unique within org and env' },
    agent_id: { ...id, description: 'The agent that runs in it' },
    workspace_id: { ...id, description: 'Where it works' },
    profile: { enum: PROFILES, default: 'low', description: 'Lowest profile that decides about it' },
    org: { ...id, description: "The deployment's own, which is the default" },
    env: { ...id, description: "The deployment's own, which is the default" },
    subject: {
      type: 'string',
      pattern: SUBJECT_PATTERN,
      description: "Whose chain may act as it; default: the embedded operator's",
    },
    keys: {
      type: 'array',
      minItems: 1,
      maxItems: 64,
      uniqueItems: true,
      items: thumbprint,
      description: "Thumbprints of the only keys it may have; default: any that the subject's chain binds",
    },
    key: {
      ...thumbprint,
      description: 'Only with a join token that brings a proof: the public key that it is for',
    },
  },
} as const;

export const scopes = {
  type: 'array',
  maxItems: 64,
  uniqueItems: true,
  items: { type: 'string', pattern: SCOPE_PATTERN },
  description: 'Scopes that routes require, or wildcards over them',
} as const;
export const audiences = {
  type: 'array',
  minItems: 1,
  maxItems: 16,
  uniqueItems: true,
  items: { type: 'string', maxLength: 512 },
  description: 'Origins that routes name: https://api.example.com',
} as const;

export const issueProofSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['runtime_id', 'key', 'scope', 'audience'],
  properties: {
    runtime_id: id,
    key: { ...thumbprint, description: "The runtime's Ed25519 public key: 32 bytes as base64url" },
    scope: scopes,
    audience: audiences,
    ttl_s: {
      type: 'integer',
      minimum: 1,
      maximum: PROOF_TTL.most,
      default: PROOF_TTL.usual,
      description: 'Seconds that it lives',
    },
    intent: { ...delegationClaimsSchema.properties.intent, description: 'What it is for, in words' },
    profile: { enum: PROFILES, description: "Stricter than the runtime's registered one, if at all" },
    taint_epoch: {
      type: 'integer',
      minimum: 0,
      description: 'The epoch that was approved: refused when it is no longer the current one',
    },
    budget: budgetSchema,
    bounds: boundsSchema,
  },
} as const;

export const killSchema = {
  type: ['object', 'null'],
  additionalProperties: false,
  properties: { reason: { ...note, description: 'Kept with the event' } },
} as const;

export const rotateKeySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['use'],
  properties: {
    use: { enum: KEY_USES, description: 'What the key signs: roots, checkpoints of the log, bundles' },
    reason: { ...note, description: 'Kept with the event' },
  },
} as const;

export const retireKeySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['kid'],
  properties: {
    kid: { ...thumbprint, description: 'RFC 7638 thumbprint of a key that signs no more' },
    reason: { ...note, description: 'Kept with the event' },
  },
} as const;

/** Exactly one of `lemma_id` and `key`. */
export const revokeSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    lemma_id: { type: 'string', pattern: LEMMA_ID_PATTERN, description: 'A link of a chain' },
    key: { ...thumbprint, description: 'A key: its thumbprint, or the public key itself' },
    reason: { ...note, description: 'Kept with the event' },
  },
} as const;

/** The request that an agent wants to make: `url`, or `scheme`, `host` and `target`. */
export const authorizeSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['method'],
  properties: {
    method: { type: 'string', pattern: METHOD_PATTERN },
    url: { type: 'string', maxLength: 16_384, description: 'Absolute, as the agent requests it' },
    scheme: { enum: ['http', 'https'] },
    host: { type: 'string', minLength: 1, maxLength: 1024, description: 'With the port, as received' },
    target: { type: 'string', minLength: 1, maxLength: 16_384, description: 'Path and query, as received' },
    headers: {
      type: 'object',
      maxProperties: 256,
      propertyNames: { pattern: HEADER_PATTERN },
      additionalProperties: {
        type: ['string', 'array'],
        pattern: FIELD_VALUE_PATTERN,
        maxItems: 64,
        items: { type: 'string', pattern: FIELD_VALUE_PATTERN },
      },
      description: 'Name to value, or to values where a header came more than once',
    },
    body_base64: {
      type: 'string',
      description: 'The whole body in base64; empty: there is none; absent: not seen',
    },
  },
} as const;

export const limit = {
  type: 'string',
  pattern: '^(?:1000|[1-9][0-9]{0,2})$',
  description: `1 to ${PAGE_LIMIT.most}; default ${PAGE_LIMIT.usual}`,
} as const;

export const time = {
  type: 'string',
  pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(?:\\.\\d{1,9})?(?:Z|[+-]\\d{2}:\\d{2})$',
} as const;

export const decisionParamsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id'],
  properties: { id: { type: 'string', pattern: '^dec_[A-Za-z0-9_-]{22}$', description: 'The decision' } },
} as const;

export const explainQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    trace: {
      enum: TRACE_MODES,
      description:
        "Also OPA's own trace: `fails` shows what failed and where, `full` every step, `rules` the rules that fired and those that nearly did, with their source and values",
    },
  },
} as const;

export type BootstrapBody = FromSchema<typeof bootstrapSchema, { keepDefaultedPropertiesOptional: true }>;
export type IssueProofBody = FromSchema<typeof issueProofSchema, { keepDefaultedPropertiesOptional: true }>;
export type KillBody = FromSchema<typeof killSchema>;
export type RotateKeyBody = FromSchema<typeof rotateKeySchema>;
export type RetireKeyBody = FromSchema<typeof retireKeySchema>;
export type RevokeBody = FromSchema<typeof revokeSchema>;
export type AuthorizeBody = FromSchema<typeof authorizeSchema>;
export type RuntimeParams = FromSchema<typeof runtimeParamsSchema>;
export type ExplainQuery = FromSchema<typeof explainQuerySchema>;
export type DecisionParams = FromSchema<typeof decisionParamsSchema>;
