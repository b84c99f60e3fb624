import type { FromSchema } from 'json-schema-to-ts';

/** What the verb takes that tests a kept bundle. */
export const testPolicySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['tests'],
  properties: {
    tests: {
      type: 'object',
      maxProperties: 256,
      propertyNames: { pattern: '^[A-Za-z0-9._-]{1,100}(?:/[A-Za-z0-9._-]{1,100})*_test\\.rego$' },
      additionalProperties: { type: 'string' },
      description:
        'Rego by its path below the folder of policies: `low/decision_test.rego`; those of its own profile and of `lib` are meant. Empty: those that the bundle itself holds',
    },
  },
} as const;

export type TestPolicyBody = FromSchema<typeof testPolicySchema>;
