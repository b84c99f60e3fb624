import { authorizeSchema, id } from './api.ts';
import { time as rfc3339 } from './api-decisions.ts';
import { METHOD_PATTERN, SUBJECT_PATTERN } from './common.ts';

/** What `replayDecisions` takes: records as they are stored, and requests that are described in JSON. */

/** Of each kind in one call. */
const REPLAYS_AT_ONCE = 100;
/** Records hold inputs, requests hold bodies. */
export const REPLAY_BODY_LIMIT = 16 * 1024 * 1024;

const text = { type: 'string', maxLength: 2048 } as const;
/** Seconds. */
const time = { type: 'integer' } as const;
const orNull = { type: ['object', 'null'] } as const;

const link = {
  type: 'object',
  required: ['type', 'id', 'issuer', 'issued_at', 'not_before', 'expires_at'],
  properties: { type: text, id: text, issuer: text, issued_at: time, not_before: time, expires_at: time },
} as const;

/** Those of its members that are looked at; the others may be there. */
const record = {
  type: 'object',
  required: [
    'v',
    'decision_id',
    'org',
    'env',
    'border',
    'verdict',
    'reason',
    'route',
    'actor',
    'request',
    'links',
    'nonce',
    'input',
  ],
  properties: {
    v: { const: 1 },
    decision_id: text,
    org: id,
    env: id,
    border: text,
    verdict: { enum: ['allow', 'deny'] },
    reason: text,
    route: { ...orNull, required: ['id'], properties: { id: text } },
    actor: {
      ...orNull,
      required: ['subject', 'runtime_id', 'agent_id', 'workspace_id'],
      properties: {
        subject: { type: 'string', pattern: SUBJECT_PATTERN },
        runtime_id: id,
        agent_id: id,
        workspace_id: id,
      },
    },
    request: { ...orNull, required: ['host'], properties: { host: text, upgrade: { const: true } } },
    links: { type: ['array', 'null'], maxItems: 16, items: link },
    nonce: { ...orNull, required: ['keyid'], properties: { keyid: text } },
    token: { type: 'object', required: ['id'], properties: { id: text } },
    input: { ...orNull, description: "The policy's input, as `lemma policy schema` says it" },
  },
  description: 'A decision record, as it is stored and exported',
} as const;

const request = {
  ...authorizeSchema,
  properties: {
    ...authorizeSchema.properties,
    method: { type: 'string', pattern: METHOD_PATTERN },
    at: {
      ...rfc3339,
      description: 'When it was made: its proof and PoP are judged at that time; default: now',
    },
  },
} as const;

export const replaySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    records: { type: 'array', maxItems: REPLAYS_AT_ONCE, items: record },
    requests: { type: 'array', maxItems: REPLAYS_AT_ONCE, items: request },
  },
} as const;
