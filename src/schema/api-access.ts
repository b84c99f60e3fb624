import type { FromSchema } from 'json-schema-to-ts';
import { PERMISSIONS, ROLES } from './access.ts';
import { limit, PROOF_TTL } from './api.ts';
import { BYTES32_PATTERN, BYTES64_PATTERN, ID_PATTERN, SCOPE_PATTERN, SUBJECT_PATTERN } from './common.ts';

/** What the REST API takes about who may call it: operators, API keys, sessions, the device flow, the audit trail. */

/** Days that an API key may live. */
export const API_KEY_DAYS = { most: 366, usual: 90 } as const;
/** Hours that a token of the device flow may live. */
export const DEVICE_HOURS = { most: 168, usual: 12 } as const;
/** RFC 8628, section 3.4. */
export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
/** Keys of an operator at one site. */
export const SITE_KEYS_AT_MOST = 8;
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
const operatorId = { type: 'string', pattern: '^(?:owner|opr_[A-Za-z0-9_-]{22})$' } as const;

export const pageQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    cursor: {
      type: 'string',
      pattern: '^[A-Za-z0-9_-]{1,512}$',
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
  maxItems: SITE_KEYS_AT_MOST,
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

export const signInSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['subject', 'key', 'challenge', 'signature'],
  properties: {
    org: { ...id, description: "The deployment's own, which is the default" },
    env: { ...id, description: "The deployment's own, which is the default" },
    subject: { type: 'string', pattern: SUBJECT_PATTERN, description: 'Your PPID at this site' },
    key: { ...bytes32, description: 'Your Ed25519 public key for this site' },
    challenge: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,128}$' },
    signature: {
      type: 'string',
      pattern: BYTES64_PATTERN,
      description:
        'Over `lemma/session/v1`, a newline, and the RFC 8785 form of {challenge, env, expires_at, key, org, origin, subject}',
    },
  },
} as const;

const bytes64 = { type: 'string', pattern: BYTES64_PATTERN } as const;

export const changeKeysSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['key', 'next', 'challenge', 'signature', 'next_signature'],
  properties: {
    key: { ...bytes32, description: 'An Ed25519 public key of yours for this site' },
    next: { ...bytes32, description: 'One that is yours from then on; `key` again where keys only end' },
    ends: {
      type: 'array',
      maxItems: SITE_KEYS_AT_MOST,
      uniqueItems: true,
      items: bytes32,
      default: [],
      description: 'Keys that are yours no more, `key` perhaps among them: sessions that they opened end',
    },
    challenge: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,128}$', description: 'As for a sign-in' },
    signature: {
      ...bytes64,
      description:
        'By `key`, over `lemma/key-change/v1`, a newline, and the RFC 8785 form of {challenge, ends, env, expires_at, key, next, org, origin, subject}',
    },
    next_signature: { ...bytes64, description: 'The same by `next`' },
  },
} as const;

export const sessionParamsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id'],
  properties: {
    id: { type: 'string', pattern: '^ses_[A-Za-z0-9_-]{22}$', description: 'The session' },
  },
} as const;

/** RFC 8628, section 3.1. */
export const deviceCodeSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['client_id'],
  properties: {
    client_id: { ...name, description: 'What the program calls itself: shown to whoever approves' },
    scope: {
      type: 'string',
      maxLength: 1000,
      description: 'Permissions that it wants, with spaces between; absent: as whoever approves says',
    },
  },
} as const;

/** RFC 8628, section 3.4. */
export const deviceTokenSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['grant_type', 'device_code', 'client_id'],
  properties: {
    grant_type: { type: 'string', maxLength: 200, description: DEVICE_GRANT },
    device_code: { type: 'string', maxLength: 200 },
    client_id: name,
  },
} as const;

const userCode = {
  type: 'string',
  pattern: '^[A-Za-z -]{8,16}$',
  description: 'As the program shows it',
} as const;

export const deviceQuerySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['user_code'],
  properties: { user_code: userCode },
} as const;

export const approveDeviceSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['user_code'],
  properties: {
    user_code: userCode,
    permissions: { ...permissions, description: 'Some of those asked for; default: all of them' },
    hours: {
      type: 'integer',
      minimum: 1,
      maximum: DEVICE_HOURS.most,
      default: DEVICE_HOURS.usual,
      description: 'That the token lives',
    },
  },
} as const;

export const denyDeviceSchema = deviceQuerySchema;

export type SignInBody = FromSchema<typeof signInSchema>;
export type ChangeKeysBody = FromSchema<typeof changeKeysSchema, { keepDefaultedPropertiesOptional: true }>;
export type SessionParams = FromSchema<typeof sessionParamsSchema>;
export type DeviceCodeBody = FromSchema<typeof deviceCodeSchema>;
export type DeviceTokenBody = FromSchema<typeof deviceTokenSchema>;
export type DeviceQuery = FromSchema<typeof deviceQuerySchema>;
export type ApproveDeviceBody = FromSchema<
  typeof approveDeviceSchema,
  { keepDefaultedPropertiesOptional: true }
>;
export type PageQuery = FromSchema<typeof pageQuerySchema>;
export type AddOperatorBody = FromSchema<typeof addOperatorSchema, { keepDefaultedPropertiesOptional: true }>;
export type ChangeOperatorBody = FromSchema<typeof changeOperatorSchema>;
export type OperatorParams = FromSchema<typeof operatorParamsSchema>;
export type CreateApiKeyBody = FromSchema<
  typeof createApiKeySchema,
  { keepDefaultedPropertiesOptional: true }
>;
export type ApiKeyParams = FromSchema<typeof apiKeyParamsSchema>;
