import { SHA256_HEX_PATTERN } from '../schema/bundle.ts';
import { PROFILES } from '../schema/common.ts';
import { CHANGE_KINDS, NOT_COMPARABLE } from '../schema/impact.ts';
import { answerOf, time } from './answers.ts';

/** Schemas of what the verbs that try a policy answer. */

const text = { type: 'string' } as const;
const texts = { type: 'array', items: text } as const;
const perhapsText = { type: ['string', 'null'] } as const;
const perhapsTime = { ...time, type: ['string', 'null'] } as const;
const count = { type: 'integer', minimum: 0 } as const;
const sha256 = { type: 'string', pattern: SHA256_HEX_PATTERN } as const;

const bundleProperties = { name: { enum: PROFILES }, revision: text, sha256 } as const;
const bundle = {
  type: 'object',
  required: ['name', 'revision', 'sha256'],
  properties: bundleProperties,
} as const;

function counts(...names: readonly string[]) {
  return {
    type: 'object',
    required: names,
    properties: Object.fromEntries(names.map((name) => [name, count])),
  };
}

const said = {
  type: 'object',
  required: ['allow', 'reason', 'reasons', 'error'],
  properties: { allow: { type: 'boolean' }, reason: text, reasons: texts, error: perhapsText },
} as const;

const changes = {
  type: 'array',
  items: {
    type: 'object',
    required: ['kind', 'decision_id', 'time', 'route', 'runtime', 'observed', 'was', 'now', 'members'],
    properties: {
      kind: { enum: CHANGE_KINDS },
      decision_id: text,
      time,
      profile: text,
      route: perhapsText,
      runtime: perhapsText,
      observed: { type: 'boolean', description: 'The route only observes: nobody was stopped' },
      was_by: sha256,
      now_by: sha256,
      was: said,
      now: said,
      members: { ...texts, description: 'Members of the result that differ' },
    },
  },
};

const groups = {
  type: 'array',
  items: {
    type: 'object',
    required: ['name', 'counts', 'decision_ids'],
    properties: { name: perhapsText, counts: counts(...CHANGE_KINDS), decision_ids: texts },
  },
};

const report = {
  type: ['object', 'null'],
  required: [
    'candidates',
    'records',
    'reproduced',
    'counts',
    'not_comparable',
    'groups',
    'changes',
    'not_listed',
  ],
  properties: {
    candidates: { type: 'array', items: bundle },
    records: count,
    reproduced: {
      type: 'object',
      required: ['equal', 'not_equal', 'differing'],
      properties: {
        equal: count,
        not_equal: { ...count, description: 'Not 0: nothing was compared' },
        differing: {
          type: 'array',
          items: {
            type: 'object',
            required: ['decision_id', 'revision', 'why'],
            properties: { decision_id: text, revision: text, why: text },
          },
        },
      },
    },
    counts: counts('same', ...CHANGE_KINDS, 'not_comparable'),
    not_comparable: {
      type: 'array',
      items: {
        type: 'object',
        required: ['why', 'count', 'decision_ids'],
        properties: { why: { enum: NOT_COMPARABLE }, count, decision_ids: texts },
      },
    },
    groups: {
      type: 'object',
      required: ['route', 'runtime', 'rule'],
      properties: { route: groups, runtime: groups, rule: groups },
    },
    changes,
    not_listed: count,
  },
};

export const policyImpact = answerOf({
  impact: {
    type: 'object',
    required: [
      'sha256',
      'revision',
      'state',
      'by',
      'started_at',
      'ended_at',
      'since',
      'until',
      'last',
      'records',
      'error',
      'report',
    ],
    properties: {
      sha256,
      revision: text,
      state: { enum: ['running', 'done', 'failed', 'cancelled'] },
      by: text,
      started_at: time,
      ended_at: perhapsTime,
      since: perhapsTime,
      until: perhapsTime,
      last: count,
      records: { ...count, description: 'Evaluated so far' },
      error: perhapsText,
      report,
    },
  },
});

const shadowed = {
  type: 'array',
  items: {
    type: 'object',
    required: ['name', 'revision', 'sha256', 'since', 'by'],
    properties: { ...bundleProperties, since: time, by: text },
  },
} as const;

export const shadowSet = answerOf({ bundles: shadowed });
export const policyShadow = answerOf({
  bundles: shadowed,
  counts: counts('same', ...CHANGE_KINDS, 'not_comparable', 'not_reproduced', 'dropped'),
  changes,
});
