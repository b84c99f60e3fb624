import type { FromSchema } from 'json-schema-to-ts';
import { PERMISSIONS, ROLES } from './access.ts';
import { PAGE_LIMIT, PROOF_TTL } from './api.ts';
import { BYTES32_PATTERN, ID_PATTERN, SCOPE_PATTERN, SUBJECT_PATTERN } from './common.ts';

/** What the REST API takes about who may call it: operators, API keys, sessions, the device flow, the audit trail. */

/** Days that an API key may live. */
export const API_KEY_DAYS = { most: 366, usual: 90 } as const;
/** Operators of one org and env. */
export const OPERATORS_AT_MOST = 500;

const id = { type: 'string', pattern: ID_PATTERN } as const;
const bytes32 = { type: 'string', pattern: BYTES32_PATTERN } as const;
/** Shown to people: nothing that could forge a line or hide text. */
const name = { type: 'string', pattern: '^[^\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]{1,100}$' } as const;
const permissions = {
  type: 'array',
  minItems: 1,
  maxItems: PERMISSIONS.length,
  uniqueItems: true,
  items: { enum: PERMISSIONS },
} as const;
const limit = {
  type: 'string',
  pattern: '^(?:1000|[1-9][0-9]{0,2})$',
  description: `1 to ${PAGE_LIMIT.most}; default ${PAGE_LIMIT.usual}`,
} as const;
const operatorId = { type: 'string', pattern: '^(?:owner|opr_[A-Za-z0-9_-]{22})$' } as const;

export const pageQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    cursor: {
      type: 'string',
      pattern: '^[A-Za-z0-9_-]{1,64}$',
      description: '`next_cursor` of the page before',
    },
    limit,
  },
} as const;

export const grantsSchema = {
  type: ['object', 'null'],
  additionalProperties: false,
  required: ['scopes', 'audiences', 'longest_life_s'],
  properties: {
    scopes: {
      type: 'array',
      maxItems: 64,
      uniqueItems: true,
      items: { type: 'string', pattern: SCOPE_PATTERN },
    },
    audiences: {
      type: 'array',
      maxItems: 16,
      uniqueItems: true,
      items: { type: 'string', minLength: 1, maxLength: 512 },
    },
    longest_life_s: { type: 'integer', minimum: 1, maximum: PROOF_TTL.most },
  },
  description: 'What proofs of theirs may hold at most; null: whatever routes name',
} as const;

const siteKeys = {
  type: 'array',
  minItems: 1,
  maxItems: 8,
  uniqueItems: true,
  items: bytes32,
  description: 'Their Ed25519 public keys for this site: 32 bytes as base64url',
} as const;
const role = { enum: ROLES } as const;
const platform = {
  type: 'boolean',
  description: "Also the deployment's platform role: policies, keys, backup, nodes",
} as const;

export const addOperatorSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'subject', 'keys', 'role'],
  properties: {
    name,
    subject: { type: 'string', pattern: SUBJECT_PATTERN, description: 'Their PPID at this site' },
    keys: siteKeys,
    role,
    platform: { ...platform, default: false },
    grants: { ...grantsSchema, default: null },
    org: { ...id, description: "Your own, which is the default; another's needs platform.operators" },
    env: { ...id, description: 'Your own, which is the default' },
  },
} as const;

/** Members that are absent stay as they are. */
export const changeOperatorSchema = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: { name, keys: siteKeys, role, platform, grants: grantsSchema },
} as const;

export const operatorParamsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id'],
  properties: { id: { ...operatorId, description: 'The operator' } },
} as const;

export const createApiKeySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'permissions'],
  properties: {
    name,
    permissions: { ...permissions, description: 'Of your own; it loses with you what you lose' },
    days: {
      type: 'integer',
      minimum: 1,
      maximum: API_KEY_DAYS.most,
      default: API_KEY_DAYS.usual,
      description: 'That it lives',
    },
  },
} as const;

export const apiKeyParamsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id'],
  properties: { id: { ...bytes32, description: "The key's id, which is no secret" } },
} as const;

export type PageQuery = FromSchema<typeof pageQuerySchema>;
export type AddOperatorBody = FromSchema<typeof addOperatorSchema, { keepDefaultedPropertiesOptional: true }>;
export type ChangeOperatorBody = FromSchema<typeof changeOperatorSchema>;
export type OperatorParams = FromSchema<typeof operatorParamsSchema>;
export type CreateApiKeyBody = FromSchema<
  typeof createApiKeySchema,
  { keepDefaultedPropertiesOptional: true }
>;
export type ApiKeyParams = FromSchema<typeof apiKeyParamsSchema>;
