import type { FromSchema } from 'json-schema-to-ts';
import { PROFILES } from './common.ts';

/**
 * The policy's input (contracts.md, "What the policy sees"). Published by `lemma policy schema`, so that
 * `opa check -s` types a policy. Where a route is public or a caller has no proof, `runtime` and `proof` are null.
 */

const strings = { type: 'array', items: { type: 'string' } } as const;
const text = { type: 'string' } as const;
const whole = { type: 'integer' } as const;
const nullableText = { type: ['string', 'null'] } as const;

export const policyInputSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Lemma policy input v1',
  type: 'object',
  additionalProperties: false,
  required: [
    'v',
    'now',
    'profile',
    'request',
    'route',
    'subject',
    'runtime',
    'proof',
    'freshness',
    'budget',
    'legacy',
  ],
  properties: {
    v: { const: 1 },
    now: { ...whole, description: 'milliseconds since 1970: the only clock that a policy has' },
    profile: { enum: PROFILES },
    request: {
      type: 'object',
      additionalProperties: false,
      required: [
        'method',
        'scheme',
        'host',
        'path',
        'segments',
        'query',
        'headers',
        'params',
        'protocol',
        'source',
        'body',
      ],
      properties: {
        method: text,
        scheme: text,
        host: text,
        path: text,
        segments: strings,
        query: { type: 'object', additionalProperties: strings },
        headers: { type: 'object', additionalProperties: text },
        params: { type: 'object', additionalProperties: text },
        protocol: text,
        source: {
          type: 'object',
          additionalProperties: false,
          required: ['address', 'principal'],
          properties: { address: text, principal: text },
        },
        body: {
          type: 'object',
          additionalProperties: false,
          required: ['state'],
          properties: {
            state: { enum: ['none', 'complete', 'truncated', 'unseen'] },
            digest: {
              ...text,
              description: '`sha-256=:<base64>:` (RFC 9530), where the body was seen whole',
            },
            json: {
              description: 'where the route says `body: json` and the body is JSON without duplicate keys',
            },
          },
        },
      },
    },
    route: {
      type: 'object',
      additionalProperties: false,
      required: [
        'id',
        'api',
        'action',
        'scope',
        'audience',
        'risk',
        'body',
        'public',
        'taint_on_response',
        'revision',
      ],
      properties: {
        id: text,
        api: text,
        action: text,
        scope: strings,
        audience: text,
        risk: { enum: PROFILES },
        body: { enum: ['none', 'digest', 'json'] },
        public: { type: 'boolean' },
        taint_on_response: { type: 'boolean' },
        revision: text,
      },
    },
    subject: {
      type: 'object',
      additionalProperties: false,
      required: ['id', 'org', 'env', 'via'],
      properties: {
        id: nullableText,
        org: text,
        env: text,
        via: { enum: ['proof', 'credential', 'token', 'asserted', 'none'] },
      },
    },
    runtime: {
      type: ['object', 'null'],
      additionalProperties: false,
      required: ['id', 'agent_id', 'workspace_id', 'status', 'profile', 'registered_at', 'taint_epoch'],
      properties: {
        id: text,
        agent_id: text,
        workspace_id: text,
        status: { enum: ['active', 'inactive', 'killed'] },
        profile: { enum: PROFILES },
        registered_at: { ...whole, description: 'milliseconds since 1970' },
        taint_epoch: whole,
      },
    },
    proof: {
      type: ['object', 'null'],
      additionalProperties: false,
      required: [
        'links',
        'scope',
        'audience',
        'expires_at',
        'intent',
        'taint_epoch',
        'weakest_link_age_ms',
        'pop',
      ],
      properties: {
        links: {
          type: 'array',
          items: {
            type: 'object',
            additionalProperties: false,
            required: ['type', 'id', 'issuer', 'scope', 'audience', 'issued_at', 'not_before', 'expires_at'],
            properties: {
              type: { enum: ['root', 'delegation', 'runtime', 'run'] },
              id: text,
              issuer: text,
              scope: strings,
              audience: strings,
              issued_at: { ...whole, description: 'seconds since 1970' },
              not_before: { ...whole, description: 'seconds since 1970' },
              expires_at: { ...whole, description: 'seconds since 1970' },
            },
          },
        },
        scope: strings,
        audience: strings,
        expires_at: { ...whole, description: 'seconds since 1970' },
        intent: { ...text, description: "the last delegation's" },
        run_id: text,
        taint_epoch: whole,
        weakest_link_age_ms: { ...whole, description: 'age of the oldest link, by issued_at' },
        pop: {
          type: 'object',
          additionalProperties: false,
          required: ['present', 'age_ms', 'body_covered'],
          properties: { present: { type: 'boolean' }, age_ms: whole, body_covered: { type: 'boolean' } },
        },
      },
    },
    freshness: {
      type: 'object',
      additionalProperties: false,
      required: ['age_ms', 'source', 'confirmed', 'epoch', 'seq'],
      properties: {
        age_ms: whole,
        source: { enum: ['local', 'lease'] },
        confirmed: {
          type: 'boolean',
          description: 'asked after this request came, or the store is in this process',
        },
        epoch: whole,
        seq: whole,
      },
    },
    budget: {
      type: ['object', 'null'],
      additionalProperties: false,
      required: ['limit', 'used'],
      properties: { limit: whole, used: { ...whole, description: 'this request included' } },
    },
    legacy: {
      type: 'object',
      additionalProperties: false,
      required: ['token', 'age_ms'],
      properties: { token: { type: 'boolean' }, age_ms: whole },
    },
    authzen: { type: 'object' },
    envoy: { type: 'object' },
  },
} as const;

export type PolicyInput = FromSchema<typeof policyInputSchema>;
