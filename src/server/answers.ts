import { leaseSchema } from '../feed/lease.ts';
import { API_ERRORS } from '../schema/api.ts';
import { policyTodaySchema, TRACE_MODES, tracedRuleSchema } from '../schema/api-explain.ts';
import {
  BYTES32_PATTERN,
  ID_PATTERN,
  KEY_USES,
  LEMMA_ID_PATTERN,
  PROFILES,
  SUBJECT_PATTERN,
} from '../schema/common.ts';

/** Schemas of what the REST API answers, for its OpenAPI document. Lemmas are described by proofs.md, not here again. */

const success = { const: true } as const;
export const time = { type: 'string', format: 'date-time' } as const;
export const id = { type: 'string', pattern: ID_PATTERN } as const;
const texts = { type: 'object', additionalProperties: { type: 'string' } } as const;
export const cursor = { type: ['string', 'null'], description: 'null: there are no more' } as const;
const profile = { enum: PROFILES } as const;

export function answerOf<const P extends Record<string, object>>(properties: P) {
  return {
    type: 'object' as const,
    required: ['success', ...Object.keys(properties)],
    properties: { success, ...properties },
  };
}

export const runtimeItem = {
  type: 'object',
  required: [
    'org',
    'env',
    'runtime_id',
    'agent_id',
    'workspace_id',
    'profile',
    'subject',
    'keys',
    'status',
    'registered_at',
    'taint_epoch',
  ],
  properties: {
    org: id,
    env: id,
    runtime_id: id,
    agent_id: id,
    workspace_id: id,
    profile,
    subject: { type: 'string', pattern: SUBJECT_PATTERN },
    keys: { type: ['array', 'null'], items: { type: 'string', pattern: BYTES32_PATTERN } },
    status: { enum: ['active', 'inactive', 'killed'] },
    registered_at: time,
    taint_epoch: { type: 'integer', minimum: 0 },
    reactivated_at: { ...time, description: 'It was killed, and what was bound before this stays dead' },
  },
} as const;

export const runtime = answerOf({ runtime: runtimeItem });
export const runtimes = answerOf({ runtimes: { type: 'array', items: runtimeItem }, next_cursor: cursor });

export const proof = answerOf({
  credential: {
    type: 'object',
    required: ['v', 'type', 'id', 'chain'],
    properties: {
      v: { const: 1 },
      type: { const: 'runtime' },
      id: { type: 'string', pattern: LEMMA_ID_PATTERN },
      chain: { type: 'array', items: { type: 'object' } },
    },
    description: 'A runtime lemma with its ancestors in `chain`, root first: what a proof file holds',
  },
  header: { type: 'string', description: 'The value of X-Lemma-Credential or X-Lemma-Proof' },
  runtime_id: id,
  profile,
  taint_epoch: { type: 'integer', minimum: 0 },
  expires_at: time,
});

const instance = {
  type: 'string',
  description: 'The process: drawn by lot when it began',
} as const;
const nodeLags = {
  type: 'array',
  description: 'Other nodes that have applied it, and how long after it was durable they said so',
  items: {
    type: 'object',
    required: ['node', 'instance', 'lag_ms'],
    properties: { node: id, instance, lag_ms: { type: 'number', minimum: 0 } },
  },
} as const;

export const stopped = answerOf({
  enforced: { type: 'boolean', description: 'Nothing passes any node from now on' },
  durable: {
    type: 'boolean',
    description: 'false: it could not be written and ends with the process; ask again',
  },
  epoch: { type: ['integer', 'null'] },
  seq: { type: ['integer', 'null'] },
  at: time,
  nodes: nodeLags,
});
/** Absent where it is enforced. */
const notYet = {
  pending: { const: true, description: 'A node has not confirmed it yet. Absent where it is enforced' },
  enforced_by: { ...time, description: 'After this moment no node lets a request through' },
  waiting: {
    type: 'array',
    items: { type: 'object', required: ['node', 'instance'], properties: { node: id, instance } },
    description: 'Nodes that have not confirmed it. Absent where it is enforced',
  },
} as const;
export function perhapsPending<const P extends Record<string, object>>(done: {
  readonly type: 'object';
  readonly required: string[];
  readonly properties: P;
}) {
  return { ...done, properties: { ...done.properties, ...notYet } };
}
export const enforced = perhapsPending(stopped);

const count = { type: 'integer', minimum: 0 } as const;
const maybe = { type: ['integer', 'null'], minimum: 0 } as const;
export const nodes = answerOf({
  nodes: {
    type: 'array',
    items: {
      type: 'object',
      required: [
        'node',
        'instance',
        'duplicate',
        'epoch',
        'seq',
        'lag',
        'lease_age_ms',
        'leased_for_ms',
        'left',
        'version',
        'bundles',
      ],
      properties: {
        node: id,
        instance,
        duplicate: { type: 'boolean', description: 'Another process of the same name lives beside it' },
        epoch: maybe,
        seq: {
          ...maybe,
          description: 'The last event that it has applied; null: not heard of since the start',
        },
        lag: { ...maybe, description: 'Events that it has not acknowledged' },
        lease_age_ms: { ...maybe, description: 'Since its last lease' },
        leased_for_ms: { ...count, description: 'How long it may still allow; 0: not at all' },
        left: { type: 'boolean', description: 'It said that it allows nothing any more' },
        version: { type: ['string', 'null'] },
        bundles: {
          type: ['array', 'null'],
          items: { type: 'string' },
          description: 'Digests of the policies in force at it; null: it has not said',
        },
      },
    },
  },
});
export const routes = answerOf({
  routes: {
    type: 'array',
    items: {
      type: 'object',
      required: ['id', 'methods', 'host', 'path', 'scope', 'audience', 'risk', 'public', 'mode'],
      properties: {
        id,
        methods: { type: 'array', items: { type: 'string' } },
        host: { type: 'string' },
        path: { type: 'string' },
        scope: { type: 'array', items: { type: 'string' } },
        audience: { type: 'string' },
        risk: { enum: PROFILES },
        public: { type: 'boolean', description: 'No credential is asked for' },
        mode: { enum: ['enforce', 'observe'] },
      },
    },
  },
});
export const nodeSnapshot = answerOf({ snapshot: { type: 'object' } });
export const nodeLease = answerOf({ lease: leaseSchema });
export const nodeLeft = answerOf({});
export const nodeJournal = answerOf({
  chain: {
    ...id,
    description: 'The name that its records bear: of this journal alone, whatever others are called',
  },
  pruning: {
    type: ['object', 'null'],
    description: 'Signed: what the node may prune. null: it has no record',
  },
});
export const nodeTaint = answerOf({
  epoch: { type: ['integer', 'null'] },
  seq: { type: ['integer', 'null'] },
});

const again = {
  now: {
    type: ['object', 'null'],
    required: ['verdict', 'reason'],
    properties: { verdict: { enum: ['allow', 'deny'] }, reason: { type: 'string' } },
    description: 'null: it cannot be asked again, for `why`',
  },
  why: { type: ['string', 'null'] },
} as const;
const replays = (more: object) => ({
  type: 'array' as const,
  items: {
    type: 'object',
    required: ['now', 'why', ...Object.keys(more)],
    properties: { ...again, ...more },
  },
  description: 'In the order of the question',
});

export const replayed = answerOf({
  records: replays({}),
  requests: replays({ route: { type: ['string', 'null'] } }),
});

export const authorized = answerOf({
  decision: { const: 'allow' },
  reason: {
    type: 'string',
    description: 'allowed, or the code that an observed route would have denied with',
  },
  decision_id: { type: 'string' },
  observed: { type: 'boolean' },
  headers: { ...texts, description: 'To set on the upstream request' },
  headers_to_remove: { type: 'array', items: { type: 'string' } },
  response_headers_to_add: texts,
});

export const decisions = answerOf({
  decisions: { type: 'array', items: { type: 'object' }, description: 'Stored lines; times in milliseconds' },
  next_cursor: cursor,
});

const keyItem = {
  type: 'object',
  required: ['use', 'kid', 'x', 'status', 'since', 'until'],
  properties: {
    use: { enum: KEY_USES },
    kid: { type: 'string', pattern: BYTES32_PATTERN },
    x: { type: 'string', pattern: BYTES32_PATTERN },
    status: { enum: ['current', 'previous', 'retired'] },
    since: time,
    until: { ...time, type: ['string', 'null'], description: 'When it stopped signing, or was retired' },
  },
} as const;

export const key = answerOf({ key: keyItem });
export const keys = answerOf({ keys: { type: 'array', items: keyItem } });

const trace = {
  type: ['object', 'null'],
  required: ['mode', 'evaluator', 'decision', 'lines', 'rules', 'cut', 'equal', 'traced', 'error'],
  properties: {
    mode: { enum: TRACE_MODES },
    evaluator: { type: ['string', 'null'], description: 'Whose trace it is: OPA and its version' },
    decision: {
      type: ['string', 'null'],
      description: 'The rule that was asked for: data.lemma.low.decision',
    },
    lines: { type: 'array', items: { type: 'string' }, description: 'As `opa eval --explain` prints them' },
    rules: {
      type: ['array', 'null'],
      items: tracedRuleSchema,
      description: 'What decided first. null in another mode than `rules`, and where there is no trace',
    },
    cut: { type: 'boolean', description: 'There were more lines, or rules' },
    equal: {
      type: ['boolean', 'null'],
      description: "Whether OPA's result is the recorded one; null where one of them is missing",
    },
    traced: {
      enum: ['equal', 'different', null],
      description: '`different`: the trace is of another result than the record, or of none',
    },
    error: { type: ['string', 'null'], description: 'Why there is no trace' },
  },
  description: 'null: not asked for',
} as const;

export const explained = answerOf({
  explanation: {
    type: 'object',
    required: ['trace', 'policy_today'],
    properties: { trace, policy_today: policyTodaySchema },
  },
});

export const checked = {
  type: 'object',
  required: ['status'],
  properties: {
    status: { type: 'object', required: ['code'], properties: { code: { enum: [0, 7, 16] } } },
    okResponse: { type: 'object' },
    deniedResponse: { type: 'object' },
    dynamicMetadata: { type: 'object' },
  },
  description: 'envoy.service.auth.v3.CheckResponse as proto3 JSON',
} as const;

export const status = {
  type: 'object',
  required: ['status'],
  properties: { status: { type: 'string' } },
} as const;

export const error = {
  type: 'object',
  required: ['success', 'error', 'message', 'request_id'],
  properties: {
    success: { const: false },
    error: {
      type: 'string',
      description: `A reason code, or one of ${Object.keys(API_ERRORS).join(', ')}`,
    },
    message: { type: 'string' },
    request_id: { type: 'string' },
    decision_id: { type: 'string' },
  },
} as const;
