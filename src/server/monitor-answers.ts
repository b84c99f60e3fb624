import { ALERT_KINDS, SEVERITIES } from '../decision-log/alerts.ts';

/** Schemas of what alerts and the monitor answer. */

const success = { const: true } as const;
const time = { type: 'string', format: 'date-time' } as const;
const whole = { type: 'integer', minimum: 0 } as const;
const ms = { type: ['number', 'null'] } as const;

const alert = {
  type: 'object',
  required: ['kind', 'severity', 'since', 'message', 'facts', 'query'],
  properties: {
    kind: { enum: ALERT_KINDS },
    severity: { enum: SEVERITIES },
    since: time,
    message: { type: 'string' },
    facts: { type: 'object' },
    query: { type: 'string', description: 'Of the decision feed: shows the decisions that it is about' },
  },
} as const;

export const alerts = {
  type: 'object',
  required: ['success', 'at', 'alerts', 'revocation_lag', 'baseline_minutes'],
  properties: {
    success,
    at: time,
    alerts: { type: 'array', items: alert, description: 'The gravest first, 200 at most' },
    revocation_lag: {
      type: 'object',
      required: ['count', 'p50_ms', 'p99_ms', 'max_ms', 'target', 'met'],
      properties: {
        count: whole,
        p50_ms: ms,
        p99_ms: ms,
        max_ms: ms,
        target: {
          type: 'object',
          required: ['p50_ms', 'p99_ms'],
          properties: { p50_ms: { type: 'number' }, p99_ms: { type: 'number' } },
        },
        met: { type: 'boolean' },
      },
      description: 'Of the stops of the last hour; null where there were none',
    },
    baseline_minutes: {
      ...whole,
      description:
        'What spikes are held against: minutes in which anything was decided, the last 60; below 10 no spike is told',
    },
  },
} as const;

const both = {
  type: 'object',
  required: ['allow', 'deny'],
  properties: { allow: whole, deny: whole },
} as const;

export const activity = {
  type: 'object',
  required: ['success', 'at', 'counted_since', 'decisions', 'top_reasons', 'runtimes_active', 'alerts'],
  properties: {
    success,
    at: time,
    counted_since: { ...time, description: 'What came before is not in these counts' },
    decisions: {
      type: 'object',
      required: ['this_minute', 'last_minute', 'last_hour', 'per_minute'],
      properties: {
        this_minute: both,
        last_minute: both,
        last_hour: both,
        per_minute: {
          type: 'array',
          items: {
            type: 'object',
            required: ['minute', 'allow', 'deny'],
            properties: { minute: time, allow: whole, deny: whole },
          },
        },
      },
    },
    top_reasons: {
      type: 'array',
      items: {
        type: 'object',
        required: ['reason', 'count'],
        properties: { reason: { type: 'string' }, count: whole },
      },
    },
    runtimes_active: { ...whole, description: 'Decided about in the last five minutes' },
    alerts: {
      type: 'object',
      required: SEVERITIES,
      properties: { info: whole, warning: whole, critical: whole },
    },
  },
} as const;
