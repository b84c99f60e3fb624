import type { FromSchema } from 'json-schema-to-ts';

/** OpenID AuthZEN Authorization API 1.0: what it asks, and what is answered. */

const properties = { type: 'object', description: 'Attributes, shown to the policy as they are' } as const;
const name = { type: 'string', minLength: 1, maxLength: 1024 } as const;

const entity = {
  type: 'object',
  additionalProperties: false,
  required: ['type', 'id'],
  properties: { type: name, id: name, properties },
} as const;

const subject = {
  ...entity,
  description:
    "With a proof: type `runtime` and the runtime's id, or any type and the proof's did:lemma:ppid_…. Without: asserted",
} as const;

const action = {
  type: 'object',
  additionalProperties: false,
  required: ['name'],
  properties: { name: { ...name, description: "A route's id or action" }, properties },
} as const;

const resource = {
  ...entity,
  description:
    'The request itself in properties: `url`, or `scheme`, `host` and `path`; `method`. Without them, the route of the action, its {name} filled from properties or the id',
} as const;

const context = {
  type: 'object',
  description:
    '`lemma_credential`, or `lemma_proof` with `lemma_pop` (and `lemma_content_digest`, `lemma_body` in base64); the rest is shown to the policy',
} as const;

export const evaluationSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['subject', 'action', 'resource'],
  properties: { subject, action, resource, context },
} as const;

const SEMANTICS = ['execute_all', 'deny_on_first_deny', 'permit_on_first_permit'] as const;
const EVALUATIONS_AT_MOST = 100;

/** Without `evaluations`, or with none in it, one evaluation. */
export const evaluationsSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    subject,
    action,
    resource,
    context,
    evaluations: {
      type: 'array',
      maxItems: EVALUATIONS_AT_MOST,
      items: { type: 'object' },
      description: 'Each an evaluation; what it lacks is taken from beside this list',
    },
    options: {
      type: 'object',
      properties: { evaluations_semantic: { enum: SEMANTICS, default: 'execute_all' } },
    },
  },
} as const;

export type EvaluationBody = FromSchema<typeof evaluationSchema>;
export type EvaluationsBody = FromSchema<typeof evaluationsSchema, { keepDefaultedPropertiesOptional: true }>;
export type Semantic = (typeof SEMANTICS)[number];

export const evaluationAnswer = {
  type: 'object',
  required: ['decision'],
  properties: {
    decision: { type: 'boolean' },
    context: { type: 'object', description: 'decision_id and reason; error where it could not be read' },
  },
} as const;

/** `evaluations`, or `decision` where there was one evaluation. */
export const evaluationsAnswer = {
  type: 'object',
  properties: {
    ...evaluationAnswer.properties,
    evaluations: { type: 'array', items: evaluationAnswer },
  },
} as const;

export const authzenConfigurationAnswer = {
  type: 'object',
  required: ['policy_decision_point', 'access_evaluation_endpoint', 'access_evaluations_endpoint'],
  properties: {
    policy_decision_point: { type: 'string' },
    access_evaluation_endpoint: { type: 'string' },
    access_evaluations_endpoint: { type: 'string' },
  },
} as const;
