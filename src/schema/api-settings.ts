import type { FromSchema } from 'json-schema-to-ts';
import { note, PROOF_TTL, time } from './api.ts';

/** Settings of the control plane for an organisation, or for one env of it. */

export const settingsSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    default_ttl_s: {
      type: 'integer',
      minimum: 1,
      maximum: PROOF_TTL.most,
      description: 'Seconds that a proof lives when nobody says',
    },
    legacy_sunset: {
      ...time,
      description: 'From when on no legacy token is issued, and which none issued since outlives',
    },
  },
} as const;

export const settingsParamsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['level'],
  properties: {
    level: { enum: ['org', 'env'], description: 'The organisation, or the env, which goes first' },
  },
} as const;

export const putSettingsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['settings'],
  properties: {
    settings: settingsSchema,
    version: {
      type: 'integer',
      minimum: 0,
      maximum: 9_007_199_254_740_990,
      description: 'The one that is replaced; 0: there is none. Or in If-Match',
    },
    reason: { ...note, description: 'Kept with the event' },
  },
} as const;

export type Settings = FromSchema<typeof settingsSchema>;
export type SettingsParams = FromSchema<typeof settingsParamsSchema>;
export type PutSettingsBody = FromSchema<typeof putSettingsSchema>;
