import { REJECTIONS } from '../authority/policy-source.ts';
import { settingsSchema } from '../schema/api-settings.ts';
import { SHA256_HEX_PATTERN } from '../schema/bundle.ts';
import { BYTES32_PATTERN, LEMMA_ID_PATTERN, PROFILES } from '../schema/common.ts';
import { answerOf, id, perhapsPending, proof, runtime, runtimeItem, stopped, time } from './answers.ts';
import { revisionTests } from './policy-tests-api.ts';

/** Schemas of what the further verbs on runtimes, policies and settings answer. */

const seq = { type: 'integer' } as const;
const texts = { type: 'array', items: { type: 'string' } } as const;
const lemmaId = { type: 'string', pattern: LEMMA_ID_PATTERN } as const;
const sha256 = { type: 'string', pattern: SHA256_HEX_PATTERN } as const;
const taint_epoch = { type: 'integer', minimum: 0 } as const;

const event = {
  type: 'object',
  required: ['epoch', 'seq', 'type', 'at'],
  properties: {
    epoch: seq,
    seq,
    type: { type: 'string' },
    at: time,
    action: { type: 'string' },
    taint_epoch,
    status: { type: 'string' },
    by: { type: 'string' },
    reason: { type: 'string' },
  },
} as const;
const events = { type: 'array', items: event } as const;
const { success: _success, ...proofProperties } = proof.properties;

/** `proof`: where a join token brings one. */
export const bootstrapped = {
  ...runtime,
  properties: { ...runtime.properties, proof: { type: 'object', properties: proofProperties } },
} as const;

export const joinToken = answerOf({
  token: { type: 'string', description: 'For `Authorization: Bearer`; only its digest is kept' },
  id: { type: 'string', description: 'Names it in events' },
  expires_at: time,
});

const { success: _done, ...stoppedProperties } = stopped.properties;
export const tainted = perhapsPending(answerOf({ ...stoppedProperties, taint_epoch }));
export const enforcedBelow = perhapsPending(
  answerOf({
    ...stoppedProperties,
    runtimes: { type: 'array', items: id, description: 'Those that were registered for the subject' },
  }),
);

export const approved = answerOf({
  ...proofProperties,
  renewed: { ...lemmaId, description: 'The proof whose key and scope it has' },
  tainted_by: events,
});

const shownProof = {
  type: 'object',
  required: ['lemma_id', 'kid', 'state', 'taint_epoch', 'scope', 'audience', 'issued_at', 'expires_at', 'by'],
  properties: {
    lemma_id: lemmaId,
    key: { type: 'string', pattern: BYTES32_PATTERN },
    kid: { type: 'string', pattern: BYTES32_PATTERN },
    state: { enum: ['current', 'stale', 'revoked'] },
    profile: { enum: PROFILES },
    taint_epoch,
    scope: texts,
    audience: texts,
    issued_at: time,
    expires_at: time,
    renewable_until: { ...time, description: 'No renewal of it lives longer' },
    budget: {
      type: ['object', 'null'],
      required: ['operations', 'used', 'remaining', 'counted_by'],
      properties: {
        operations: { type: 'integer', description: 'The limit. It never resets: it ends with the proof' },
        used: {
          type: ['integer', 'null'],
          description: 'null: the count that nodes share is away, or was lost',
        },
        remaining: { type: ['integer', 'null'], minimum: 0 },
        counted_by: {
          enum: ['all_nodes', 'this_process'],
          description: 'this_process: what other nodes decided is not in it',
        },
      },
      description: 'null: its operations are not counted',
    },
    bounds: { type: ['object', 'null'] },
    intent: { type: ['string', 'null'] },
    by: { type: 'string', description: 'Who asked; `runtime`: it renewed itself' },
  },
} as const;

export const shown = answerOf({
  runtime: runtimeItem,
  subject_revoked: { type: 'boolean' },
  tainted_by: events,
  events,
  proofs: { type: 'array', items: shownProof },
  delegations: {
    type: 'object',
    required: ['subject', 'below'],
    properties: { subject: { type: 'string' }, below: { type: 'array', items: { type: 'object' } } },
    description: 'The chains of these proofs as one tree, root first',
  },
});

const bundle = {
  type: 'object',
  required: ['name', 'revision', 'serial', 'sha256'],
  properties: { name: { enum: PROFILES }, revision: { type: 'string' }, serial: { type: 'integer' }, sha256 },
} as const;

export const policyBundle = answerOf({ bundle });
export const policyBundles = answerOf({ bundles: { type: 'array', items: bundle } });

const text = { type: 'string' } as const;
const looked = {
  commit: text,
  author: { ...text, description: 'As the commit says, as `subject`: nobody vouches for it' },
  subject: text,
  at: time,
} as const;

const policySource = {
  type: ['object', 'null'],
  required: ['source', 'accepted', 'behind', 'failing', 'rejected'],
  properties: {
    source: { ...text, description: '`bundles.source`' },
    accepted: {
      type: ['object', 'null'],
      required: [...Object.keys(looked), 'bundles'],
      properties: { ...looked, bundles: { type: 'array', items: text } },
      description: 'The commit that is in force',
    },
    behind: {
      type: 'boolean',
      description: 'Whether the branch is at a commit that was rejected: the first of `rejected`',
    },
    failing: {
      type: ['object', 'null'],
      required: ['since', 'message'],
      properties: { since: time, message: text },
      description: 'Why the repository cannot be read; null: it can',
    },
    rejected: {
      type: 'array',
      items: {
        type: 'object',
        required: [...Object.keys(looked), 'code', 'message'],
        properties: { ...looked, code: { enum: REJECTIONS }, message: text },
      },
      description: 'Commits that never came into force, the latest first, 20 at most',
    },
  },
  description: 'The repository that policies come from; null: they come from none',
} as const;

export const policyHistory = answerOf({
  bundles: {
    type: 'array',
    items: {
      ...bundle,
      required: [...bundle.required, 'activated_at', 'active', 'published', 'tests'],
      properties: {
        ...bundle.properties,
        activated_at: { ...time, type: ['string', 'null'], description: 'null: it never was in force' },
        active: { type: 'boolean' },
        published: {
          type: ['object', 'null'],
          required: ['by', 'author', 'commit', 'reason', 'at'],
          properties: {
            by: { ...text, description: "An operator's id; `service`: it built a commit" },
            author: { type: ['string', 'null'], description: 'As the commit says: nobody vouches for it' },
            commit: { type: ['string', 'null'] },
            reason: { type: ['string', 'null'] },
            at: time,
          },
          description:
            'Who brought it; null: not known, it came with the service or in its folder of bundles',
        },
        tests: revisionTests,
      },
    },
  },
  acts: {
    type: 'object',
    additionalProperties: {
      type: 'array',
      items: {
        type: 'object',
        required: ['act', 'sha256', 'revision', 'serial', 'by', 'reason', 'at'],
        properties: { act: { enum: ['activate', 'rollback'] }, at: time },
      },
    },
    description: 'By profile, the latest first',
  },
  source: policySource,
});

const fileDiffs = {
  type: 'array',
  items: {
    type: 'object',
    required: ['path', 'change', 'lines'],
    properties: {
      path: { type: 'string' },
      change: { enum: ['added', 'removed', 'changed'] },
      lines: { type: ['array', 'null'], items: { type: 'string' }, description: 'null: too much to show' },
    },
  },
} as const;

export const policyDiff = answerOf({
  from: sha256,
  to: sha256,
  rego: fileDiffs,
  data: fileDiffs,
  capabilities: {
    type: 'array',
    items: { type: 'object', required: ['member', 'from', 'to'], properties: { member: { type: 'string' } } },
    description: 'What the bundles ask of the service',
  },
  module_equal: { type: 'boolean' },
});

export const settings = answerOf({
  version: { type: 'integer', minimum: 0, description: '0: nobody has written them yet' },
  settings: settingsSchema,
  by: { type: ['string', 'null'] },
  at: { ...time, type: ['string', 'null'] },
});
