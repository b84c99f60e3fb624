import type { FromSchema } from 'json-schema-to-ts';
import { audiences, id, limit, note, PROOF_TTL, scopes, thumbprint } from './api.ts';
import { LEMMA_ID_PATTERN, PROFILES, SUBJECT_PATTERN } from './common.ts';

/** What the verbs on runtimes take beyond those of the first tables. */

const reason = { ...note, description: 'Kept with the event' } as const;
const epoch = { type: 'integer', minimum: 0, maximum: 9_007_199_254_740_990 } as const;
/** An id, or the start of one and `*`. */
const idPattern = { type: 'string', pattern: '^(?:[a-z0-9][a-z0-9._-]{0,63}\\*?|\\*)$' } as const;
const subject = { type: 'string', pattern: SUBJECT_PATTERN } as const;
const lemmaId = { type: 'string', pattern: LEMMA_ID_PATTERN } as const;

export const joinTokenSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['runtime_id', 'agent_id', 'workspace_id'],
  properties: {
    runtime_id: {
      ...idPattern,
      description: 'The runtime that may be registered; `ci-*`: any that begins so',
    },
    agent_id: idPattern,
    workspace_id: idPattern,
    profile: { enum: PROFILES, default: 'low', description: 'This profile, or a stricter one' },
    ttl_s: {
      type: 'integer',
      minimum: 1,
      maximum: 86_400,
      default: 3600,
      description: 'Seconds until it ends unused',
    },
    proof: {
      type: 'object',
      additionalProperties: false,
      required: ['scope', 'audience'],
      properties: {
        scope: scopes,
        audience: audiences,
        ttl_s: { type: 'integer', minimum: 1, maximum: PROOF_TTL.most },
      },
      description: 'The first proof, which the runtime then renews by itself',
    },
    reason,
  },
} as const;

/** At least one of `subject`, `lemma_id` and `key`. */
export const killBelowSchema = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: {
    subject: {
      ...subject,
      description: 'A delegator: each of its runtimes, and every chain of its, for ever',
    },
    lemma_id: { ...lemmaId, description: 'A delegation: every chain that has it' },
    key: {
      ...thumbprint,
      description: 'A key, or its thumbprint: every chain that it signs or holds a link of',
    },
    reason,
  },
} as const;

export const taintSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['reason'],
  properties: { reason: { ...note, description: 'What tainted it; shown to who approves it again' } },
} as const;

export const approveSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['taint_epoch'],
  properties: {
    taint_epoch: {
      ...epoch,
      description: 'The epoch that was looked at: void where it is another one by now',
    },
    lemma_id: { ...lemmaId, description: 'The proof to go on from; default: the one that was issued last' },
    ttl_s: {
      type: 'integer',
      minimum: 1,
      maximum: 3600,
      default: 900,
      description: 'Seconds that the new one lives',
    },
    reason,
  },
} as const;

export const reactivateSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['taint_epoch', 'reason'],
  properties: {
    taint_epoch: {
      ...epoch,
      description: 'The epoch that was looked at: void where it is another one by now',
    },
    reason,
  },
} as const;

export const runtimesQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    status: { enum: ['active', 'inactive', 'killed'] },
    profile: { enum: PROFILES },
    agent: id,
    workspace: id,
    subject,
    cursor: {
      type: 'string',
      pattern: '^[A-Za-z0-9_-]{1,256}$',
      description: '`next_cursor` of the page before, with the same filters',
    },
    limit,
  },
} as const;

export type JoinTokenBody = FromSchema<typeof joinTokenSchema, { keepDefaultedPropertiesOptional: true }>;
export type KillBelowBody = FromSchema<typeof killBelowSchema>;
export type TaintBody = FromSchema<typeof taintSchema>;
export type ApproveBody = FromSchema<typeof approveSchema, { keepDefaultedPropertiesOptional: true }>;
export type ReactivateBody = FromSchema<typeof reactivateSchema>;
export type RuntimesQuery = FromSchema<typeof runtimesQuerySchema>;
