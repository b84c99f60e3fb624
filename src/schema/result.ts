import type { FromSchema } from 'json-schema-to-ts';

/** What a policy says (contracts.md, "What the policy says"). Anything else is `policy_error`, and denies. */

const headers = {
  type: 'object',
  maxProperties: 64,
  additionalProperties: { type: 'string', maxLength: 8192 },
} as const;

export const policyResultSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Lemma policy result v1',
  type: 'object',
  additionalProperties: false,
  required: ['allow', 'reason', 'reasons'],
  properties: {
    allow: { type: 'boolean' },
    reason: { type: 'string', maxLength: 64 },
    reasons: { type: 'array', maxItems: 64, items: { type: 'string', maxLength: 64 } },
    message: { type: 'string', maxLength: 1024 },
    http_status: { type: 'integer', minimum: 400, maximum: 599 },
    headers,
    response_headers_to_add: headers,
    request_headers_to_remove: { type: 'array', maxItems: 64, items: { type: 'string', maxLength: 256 } },
    body: { type: 'string', maxLength: 65536 },
    dynamic_metadata: { type: 'object' },
    obligations: {
      type: 'object',
      additionalProperties: false,
      properties: {
        max_response_ttl_s: { type: 'integer', minimum: 0 },
        step_up: { type: 'string', maxLength: 256 },
        taint: { const: true },
      },
    },
  },
} as const;

export type PolicyResult = FromSchema<typeof policyResultSchema>;
