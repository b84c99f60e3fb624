import type { FromSchema } from 'json-schema-to-ts';
import { note } from './api.ts';
import { SHA256_HEX_PATTERN } from './bundle.ts';
import { PROFILES } from './common.ts';

/** What the verbs on policies take. Bundles are named by their digest. */

const reason = { ...note, description: 'Kept with the event' } as const;
const sha256 = { type: 'string', pattern: SHA256_HEX_PATTERN } as const;
const base64 = { type: 'string', pattern: '^[A-Za-z0-9+/]*={0,2}$' } as const;

/** Exactly one of `bundle_base64` and `files_base64`. */
export const publishPolicySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    bundle_base64: { ...base64, description: 'A signed bundle as tar.gz' },
    files_base64: {
      type: 'object',
      maxProperties: 256,
      propertyNames: { pattern: '^[A-Za-z0-9._-]{1,100}(?:/[A-Za-z0-9._-]{1,100})*$' },
      additionalProperties: base64,
      description: 'Or its files by their paths',
    },
    reason,
  },
} as const;

export const activatePoliciesSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['bundles'],
  properties: {
    bundles: {
      type: 'array',
      minItems: 1,
      maxItems: PROFILES.length,
      uniqueItems: true,
      items: sha256,
      description: 'Digests of published bundles, one a profile at most: all come into force, or none',
    },
    reason,
  },
} as const;

export const rollbackPolicySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['profile'],
  properties: {
    profile: { enum: PROFILES },
    to: { ...sha256, description: 'Default: the one of the next lower serial that was in force' },
    reason,
  },
} as const;

export const policyHistoryQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: { profile: { enum: PROFILES } },
} as const;

export const policyDiffQuerySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['from', 'to'],
  properties: { from: sha256, to: sha256 },
} as const;

export type PublishPolicyBody = FromSchema<typeof publishPolicySchema>;
export type ActivatePoliciesBody = FromSchema<typeof activatePoliciesSchema>;
export type RollbackPolicyBody = FromSchema<typeof rollbackPolicySchema>;
export type PolicyHistoryQuery = FromSchema<typeof policyHistoryQuerySchema>;
export type PolicyDiffQuery = FromSchema<typeof policyDiffQuerySchema>;
