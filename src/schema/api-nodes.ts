import type { FromSchema } from 'json-schema-to-ts';
import { SHA256_HEX_PATTERN } from './bundle.ts';
import { ID_PATTERN } from './common.ts';

/** What decision nodes send to their control plane. */

const id = { type: 'string', pattern: ID_PATTERN } as const;
/** 16 bytes, base64url. */
const lot = { type: 'string', pattern: '^[A-Za-z0-9_-]{22}$' } as const;
const count = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const;
const countText = { type: 'string', pattern: '^(?:0|[1-9][0-9]{0,15})$' } as const;

export const leaseRequestSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['node', 'instance', 'nonce', 'epoch', 'seq', 'version'],
  properties: {
    node: { ...id, description: 'Its name' },
    instance: { ...lot, description: 'Of this process, chosen when it began: 16 bytes' },
    nonce: { ...lot, description: 'Chosen anew each time: 16 bytes' },
    epoch: { ...count, description: 'Of the event log that it follows' },
    seq: { ...count, description: 'The last event that it has applied: this acknowledges it' },
    version: { type: 'string', pattern: '^[0-9A-Za-z.+-]{1,64}$' },
    bundles: {
      type: 'array',
      maxItems: 16,
      items: { type: 'string', pattern: SHA256_HEX_PATTERN },
      description: 'Digests of the policies that are in force at it',
    },
  },
} as const;
export type LeaseRequestBody = FromSchema<typeof leaseRequestSchema>;

export const nodeLeaveSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['node', 'instance'],
  properties: {
    node: id,
    instance: { ...lot, description: 'Of the process that allows nothing any more' },
  },
} as const;
export type NodeLeaveBody = FromSchema<typeof nodeLeaveSchema>;

export const snapshotQuerySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['node'],
  properties: { node: { ...id, description: 'Who asks' } },
} as const;
export type SnapshotQuery = FromSchema<typeof snapshotQuerySchema>;

export const eventsQuerySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['epoch', 'after'],
  properties: {
    epoch: { ...countText, description: 'Of the log that is followed; another one now: 409 moved' },
    after: { ...countText, description: 'The last event that the node has' },
  },
} as const;
export type EventsQuery = FromSchema<typeof eventsQuerySchema>;

export const bundleParamsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['sha256'],
  properties: { sha256: { type: 'string', pattern: '^[0-9a-f]{64}$', description: 'Its digest' } },
} as const;
export type BundleParams = FromSchema<typeof bundleParamsSchema>;

export const journalSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['node', 'journal', 'lines'],
  properties: {
    node: { ...id, description: 'Who ships it' },
    journal: { ...lot, description: 'Of its database, made with it: 16 bytes' },
    lines: {
      type: 'array',
      maxItems: 1000,
      items: { type: 'string', maxLength: 1_048_576 },
      description: 'Records exactly as they are stored, in order; none: only asks for the name of the chain',
    },
  },
} as const;
export type JournalBody = FromSchema<typeof journalSchema>;

export const nodeTaintSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['org', 'env', 'runtime_id', 'reason'],
  properties: {
    org: id,
    env: id,
    runtime_id: id,
    reason: { type: 'string', minLength: 1, maxLength: 500 },
  },
} as const;
export type NodeTaintBody = FromSchema<typeof nodeTaintSchema>;
