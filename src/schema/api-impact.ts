import type { FromSchema } from 'json-schema-to-ts';
import { time } from './api-decisions.ts';
import { SHA256_HEX_PATTERN } from './bundle.ts';
import { PROFILES } from './common.ts';

/** What the verbs that try a policy take: its impact on the log, and a shadow beside the active one. */

const sha256 = { type: 'string', pattern: SHA256_HEX_PATTERN } as const;

export const IMPACT_LAST = { usual: 10_000, most: 100_000 } as const;

export const policyParamsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['sha256'],
  properties: { sha256: { ...sha256, description: 'Digest of a kept bundle' } },
} as const;

export const impactSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    since: { ...time, description: 'Decisions from then on' },
    until: { ...time, description: 'Decisions before then' },
    last: {
      type: 'integer',
      minimum: 1,
      maximum: IMPACT_LAST.most,
      description: `The latest so many of them; default ${IMPACT_LAST.usual}`,
    },
  },
} as const;

export const shadowSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['bundles'],
  properties: {
    bundles: {
      type: 'array',
      maxItems: PROFILES.length,
      uniqueItems: true,
      items: sha256,
      description: 'Digests of kept bundles, in the place of those that there were; none: it ends',
    },
  },
} as const;

export type PolicyParams = FromSchema<typeof policyParamsSchema>;
export type ImpactBody = FromSchema<typeof impactSchema>;
export type ShadowBody = FromSchema<typeof shadowSchema>;
