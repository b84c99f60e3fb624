import type { FromSchema } from 'json-schema-to-ts';
import { PAGE_LIMIT } from './api.ts';
import { ID_PATTERN } from './common.ts';

/** Queries of what operators see of decisions: the feed, the stream, exports, alerts and the monitor. */

/** A delegator's PPID, with or without its method. */
const PPID_PATTERN = '^(?:did:lemma:)?ppid_[0-9a-f]{64}$';
const CURSOR_PATTERN = '^[A-Za-z0-9_-]{20,256}$';

const id = { type: 'string', pattern: ID_PATTERN } as const;
/** RFC 3339. */
export const time = {
  type: 'string',
  pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(?:\\.\\d{1,9})?(?:Z|[+-]\\d{2}:\\d{2})$',
} as const;
const cursor = { type: 'string', pattern: CURSOR_PATTERN } as const;

const filters = {
  runtime: { ...id, description: 'Id of the runtime' },
  agent: { ...id, description: 'Id of the agent' },
  workspace: { ...id, description: 'Id of the workspace' },
  subject: {
    type: 'string',
    pattern: PPID_PATTERN,
    description: 'PPID of the delegator: `ppid_…` or `did:lemma:ppid_…`',
  },
  verdict: { enum: ['allow', 'deny'], description: 'The true one, also of an observed route' },
  reason: { type: 'string', pattern: '^[a-z][a-z0-9_]{0,63}$', description: 'The reason code' },
  route: { ...id, description: 'Id of the route' },
  since: { ...time, description: 'RFC 3339, inclusive' },
} as const;
const until = { ...time, description: 'RFC 3339, exclusive' } as const;

export const decisionsQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...filters,
    until,
    order: { enum: ['asc', 'desc'], description: 'By time; default desc' },
    cursor: {
      ...cursor,
      description: '`next_cursor` of the page before, of the same filters and order',
    },
    limit: {
      type: 'string',
      pattern: '^(?:1000|[1-9][0-9]{0,2})$',
      description: `1 to ${PAGE_LIMIT.most}; default ${PAGE_LIMIT.usual}`,
    },
  },
} as const;

export const streamQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...filters,
    after: {
      ...cursor,
      description:
        'Id of the last event that was seen, with the same filters; the header Last-Event-ID says it too',
    },
  },
} as const;

const EXPORT_FORMATS = ['ndjson', 'csv', 'opa'] as const;

export const exportQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...filters,
    until,
    format: {
      enum: EXPORT_FORMATS,
      description:
        "ndjson: each record exactly as it is stored; csv: one row each, formulas defused; opa: events of OPA's decision log, one a line. Default ndjson",
    },
    after: {
      ...cursor,
      description:
        'Goes on after an earlier export with the same filters: its trailer `lemma-next-cursor`, or a mark',
    },
    marks: {
      enum: ['true', 'false'],
      description:
        'true: a line `{"next_cursor":…}` now and then and at the end, or in CSV a last column, tells where a broken export goes on',
    },
    proven: {
      enum: ['true', 'false'],
      description:
        'true: with checkpoints and what else `lemma decisions verify` needs, as lines of their own. Of the whole log only',
    },
  },
} as const;

export const monitorQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: { after: streamQuerySchema.properties.after },
} as const;

export type DecisionsQuery = FromSchema<typeof decisionsQuerySchema>;
export type StreamQuery = FromSchema<typeof streamQuerySchema>;
export type ExportQuery = FromSchema<typeof exportQuerySchema>;
export type MonitorQuery = FromSchema<typeof monitorQuerySchema>;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
