import { PROFILES } from './common.ts';

/** What OPA's bundle API takes, and the key that verifies what it gives. */

export const bundleParamsSchema = {
  type: 'object',
  required: ['profile'],
  properties: { profile: { enum: PROFILES, description: 'Whose policy' } },
} as const;

export const opaKeyAnswer = {
  type: 'object',
  required: ['success', 'keyid', 'algorithm', 'key'],
  properties: {
    success: { const: true },
    keyid: { type: 'string', description: 'For `signing.keyid`: its RFC 7638 thumbprint' },
    algorithm: { const: 'ES256' },
    key: { type: 'string', description: 'The public key in PEM' },
  },
} as const;
