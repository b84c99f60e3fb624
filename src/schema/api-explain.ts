import type { FromSchema } from 'json-schema-to-ts';

/** What explain tells of the rules behind a decision, and of what the policy in force now would say. */

/**
 * What a trace shows: what failed and where, or every step, as OPA's lines; or the rules that fired and those that nearly
 * did, as a document.
 */
export const TRACE_MODES = ['fails', 'full', 'rules'] as const;

const place = {
  line: { type: 'integer', minimum: 1 },
  column: { type: 'integer', minimum: 1, description: 'In characters' },
  text: { type: 'string', maxLength: 201, description: 'Of the source; a longer one ends with …' },
} as const;

const would = {
  type: ['object', 'null'],
  additionalProperties: false,
  required: ['given', 'allow', 'reason', 'reasons'],
  properties: {
    given: {
      enum: ['at', 'rest'],
      description: '`at` held; or also the rest of the rule, where `at` alone would change nothing',
    },
    allow: { type: 'boolean' },
    reason: { type: 'string' },
    reasons: { type: 'array', items: { type: 'string' } },
  },
} as const;

export const tracedRuleSchema = {
  type: 'object',
  additionalProperties: false,
  required: [
    'path',
    'outcome',
    'file',
    'line_from',
    'line_to',
    'source',
    'default',
    'evaluated',
    'held',
    'gives',
    'at',
    'would',
    'values',
  ],
  properties: {
    path: { type: 'string', description: 'data.lemma.low.deny' },
    outcome: {
      enum: ['fired', 'failed', 'nearly'],
      description:
        'nearly: it failed, and either the decision would have been another had `at` held, or all of it held but the last',
    },
    file: { type: 'string', description: 'In the bundle of then' },
    line_from: place.line,
    line_to: place.line,
    source: {
      type: 'string',
      description: 'Those lines; at most 60, of at most 400 characters (a longer one ends with …)',
    },
    default: { type: 'boolean', description: 'What holds where no other rule of this name does' },
    evaluated: { type: 'integer', minimum: 1, description: 'How often it was looked at' },
    held: { type: 'integer', minimum: 0, description: 'How often it held' },
    gives: {
      type: ['string', 'null'],
      description: 'Its first value, as OPA writes it; null: it never held',
    },
    at: {
      type: 'object',
      additionalProperties: false,
      required: ['line', 'column', 'text'],
      properties: place,
      description: 'The expression that failed furthest on; the head of a rule that fired',
    },
    would: {
      ...would,
      description:
        'What the policy would have said, had it held; null where that cannot be said, or the rule fired',
    },
    values: {
      type: 'array',
      maxItems: 40,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['text', 'value', 'line', 'column'],
        properties: {
          ...place,
          value: {
            type: ['string', 'null'],
            maxLength: 201,
            description: 'As OPA writes it, at most 200 characters and …; null: undefined',
          },
        },
      },
      description: 'What stood in its expressions when it fired, or failed',
    },
  },
} as const;

export type TracedRule = FromSchema<typeof tracedRuleSchema>;

export const policyTodaySchema = {
  type: ['object', 'null'],
  additionalProperties: false,
  required: ['bundle', 'result', 'equal', 'error'],
  properties: {
    bundle: {
      type: ['object', 'null'],
      required: ['name', 'revision', 'sha256'],
      properties: {
        name: { type: 'string' },
        revision: { type: 'string' },
        sha256: { type: 'string' },
      },
    },
    result: { type: ['object', 'null'] },
    equal: { type: 'boolean', description: 'Whether it is the result of then' },
    error: { type: ['string', 'null'] },
  },
  description:
    'What the revision that is active now says to the input of then: the policy alone, no check of the request, its proof or its state. null: no policy was asked then',
} as const;
