import { FORWARD_AUTH_PREFIX, FORWARD_AUTH_PROXIES } from '../request/forward-auth.ts';
import type { Permission } from '../schema/access.ts';
import {
  type ApiErrorCode,
  authorizeSchema,
  bootstrapSchema,
  decisionParamsSchema,
  explainQuerySchema,
  issueProofSchema,
  killSchema,
  PROOF_TTL,
  retireKeySchema,
  revokeSchema,
  rotateKeySchema,
  runtimeParamsSchema,
} from '../schema/api.ts';
import {
  authzenConfigurationAnswer,
  evaluationAnswer,
  evaluationSchema,
  evaluationsAnswer,
  evaluationsSchema,
} from '../schema/api-authzen.ts';
import { bundleParamsSchema, opaKeyAnswer } from '../schema/api-bundles.ts';
import {
  decisionsQuerySchema,
  exportQuerySchema,
  monitorQuerySchema,
  streamQuerySchema,
} from '../schema/api-decisions.ts';
import {
  eventsQuerySchema,
  journalSchema,
  leaseRequestSchema,
  bundleParamsSchema as nodeBundleParamsSchema,
  nodeLeaveSchema,
  nodeTaintSchema,
  snapshotQuerySchema,
} from '../schema/api-nodes.ts';
import {
  activatePoliciesSchema,
  policyDiffQuerySchema,
  policyHistoryQuerySchema,
  publishPolicySchema,
  rollbackPolicySchema,
} from '../schema/api-policies.ts';
import { REPLAY_BODY_LIMIT, replaySchema } from '../schema/api-replay.ts';
import {
  approveSchema,
  joinTokenSchema,
  killBelowSchema,
  reactivateSchema,
  runtimesQuerySchema,
  taintSchema,
} from '../schema/api-runtimes.ts';
import { putSettingsSchema, settingsParamsSchema } from '../schema/api-settings.ts';
import {
  exchangedAnswer,
  exchangeSchema,
  introspectedAnswer,
  tokenBodySchema,
  tokenRevokedAnswer,
} from '../schema/api-tokens.ts';
import { ACCESS_OPERATIONS } from './access-operations.ts';
import * as answer from './answers.ts';
import * as answers from './monitor-answers.ts';
import * as verb from './verb-answers.ts';

/** Every operation of the REST API: the servers route by this table, and `/openapi.json` is made from it. */

export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Served for every method that HTTP has; `method` is the usual one. */
  readonly anyMethod?: true;
  /** As OpenAPI writes it: `{id}` is one segment. */
  readonly path: string;
  /** The listeners that serve it. Only the control listener asks who calls. */
  readonly on: readonly ('control' | 'decision')[];
  /** What the caller must be allowed to do on the control listener; `signed_in`: only to be known; null: anybody may ask. */
  readonly needs: Permission | 'signed_in' | null;
  readonly summary: string;
  readonly params?: object;
  readonly query?: object;
  readonly body?: object;
  /** The body may be a form (application/x-www-form-urlencoded) too. */
  readonly form?: true;
  /** Answers 304 to who has it already. */
  readonly conditional?: true;
  /** What a 200 holds: a schema of JSON, or another media type. */
  readonly answer: object | { readonly mediaType: string | readonly string[] };
  readonly errors: readonly ApiErrorCode[];
  /** Its body may be as large as one that is decided about. */
  readonly large?: true;
  /** Also answers with the reason's status and the error shape: it decides. */
  readonly decides?: true;
  /** The statuses of its denials, which are all that it knows beside 200. */
  readonly denies?: readonly number[];
  /** Bytes that its body may have, where that is not the usual. */
  readonly bodyLimit?: number;
}

const INPUT = ['invalid_request', 'payload_too_large', 'unsupported_media_type'] as const;
const RUNTIMES = '/api/wallet/runtimes';
const KEYS = '/api/wallet/keys';
const POLICIES = '/api/wallet/policies';
const SETTINGS = '/api/wallet/settings';
const NODES = '/api/wallet/nodes';

const forwardAuthParamsSchema = {
  type: 'object',
  required: ['proxy'],
  properties: { proxy: { enum: FORWARD_AUTH_PROXIES, description: 'Who asks' } },
} as const;

const docsParamsSchema = {
  type: 'object',
  required: ['page'],
  properties: { page: { type: 'string', description: 'As /docs links it' } },
} as const;

export const OPERATIONS = {
  bootstrap: {
    method: 'POST',
    path: `${RUNTIMES}/bootstrap`,
    on: ['control'],
    needs: 'runtimes.write',
    summary:
      'Registers a runtime. The same registration again changes nothing. Also with a one-time join token (lm_jt_…) in place of the key',
    body: bootstrapSchema,
    answer: verb.bootstrapped,
    errors: [
      ...INPUT,
      'key_weak',
      'not_found',
      'conflict',
      'revoked',
      'runtime_killed',
      'runtime_inactive',
      'rate_limited',
      'store_unavailable',
    ],
  },
  joinToken: {
    method: 'POST',
    path: `${RUNTIMES}/join-tokens`,
    on: ['control'],
    needs: 'runtimes.write',
    summary: 'Makes a one-time token by which a runtime registers itself; it is shown this once',
    body: joinTokenSchema,
    answer: verb.joinToken,
    errors: [...INPUT, 'store_unavailable'],
  },
  issueProof: {
    method: 'POST',
    path: `${RUNTIMES}/issue-proof`,
    on: ['control'],
    needs: 'runtimes.write',
    summary: `Binds a key to a runtime at its current taint epoch, for at most ${PROOF_TTL.most / 3600} hours. Also by the runtime's own X-Lemma-Proof and X-Lemma-PoP over this request: a renewal`,
    body: issueProofSchema,
    answer: answer.proof,
    errors: [
      ...INPUT,
      'key_weak',
      'not_found',
      'conflict',
      'moved',
      'revoked',
      'runtime_killed',
      'runtime_inactive',
      'rate_limited',
      'store_unavailable',
    ],
  },
  listRuntimes: {
    method: 'GET',
    path: RUNTIMES,
    on: ['control'],
    needs: 'runtimes.read',
    summary: 'Runtimes of the organisation, by id',
    query: runtimesQuerySchema,
    answer: answer.runtimes,
    errors: ['invalid_request'],
  },
  showRuntime: {
    method: 'GET',
    path: `${RUNTIMES}/{id}`,
    on: ['control'],
    needs: 'runtimes.read',
    summary: 'One runtime: what raised its taint epoch, events, outstanding proofs, budgets, delegations',
    params: runtimeParamsSchema,
    answer: verb.shown,
    errors: ['invalid_request', 'not_found', 'store_unavailable'],
  },
  killBelow: {
    method: 'POST',
    path: `${RUNTIMES}/kill`,
    on: ['control'],
    needs: 'runtimes.stop',
    summary: 'Stops everything below a delegator, a delegation or a key, for ever',
    body: killBelowSchema,
    answer: verb.enforcedBelow,
    errors: INPUT,
  },
  kill: {
    method: 'POST',
    path: `${RUNTIMES}/{id}/kill`,
    on: ['control'],
    needs: 'runtimes.stop',
    summary: 'Stops a runtime for ever. A second kill gives the first answer',
    params: runtimeParamsSchema,
    body: killSchema,
    answer: answer.enforced,
    errors: [...INPUT, 'not_found'],
  },
  taint: {
    method: 'POST',
    path: `${RUNTIMES}/{id}/taint`,
    on: ['control'],
    needs: 'runtimes.stop',
    summary: 'Raises the taint epoch: proofs of before are stale',
    params: runtimeParamsSchema,
    body: taintSchema,
    answer: verb.tainted,
    errors: [...INPUT, 'not_found'],
  },
  approve: {
    method: 'POST',
    path: `${RUNTIMES}/{id}/approve`,
    on: ['control'],
    needs: 'runtimes.approve',
    summary: 'Lets a tainted runtime go on: a short proof for the same key, at the epoch that was looked at',
    params: runtimeParamsSchema,
    body: approveSchema,
    answer: verb.approved,
    errors: [
      ...INPUT,
      'key_weak',
      'not_found',
      'conflict',
      'moved',
      'revoked',
      'runtime_killed',
      'runtime_inactive',
      'store_unavailable',
    ],
  },
  contain: {
    method: 'POST',
    path: `${RUNTIMES}/{id}/contain`,
    on: ['control'],
    needs: 'runtimes.stop',
    summary: 'Denies a runtime everything until it is resumed',
    params: runtimeParamsSchema,
    body: killSchema,
    answer: answer.enforced,
    errors: [...INPUT, 'not_found', 'runtime_killed'],
  },
  resume: {
    method: 'POST',
    path: `${RUNTIMES}/{id}/resume`,
    on: ['control'],
    needs: 'runtimes.write',
    summary: 'Ends a containment',
    params: runtimeParamsSchema,
    body: killSchema,
    answer: answer.runtime,
    errors: [...INPUT, 'not_found', 'conflict', 'runtime_killed', 'store_unavailable'],
  },
  reactivate: {
    method: 'POST',
    path: `${RUNTIMES}/{id}/reactivate`,
    on: ['control'],
    needs: 'runtimes.approve',
    summary:
      'Makes a killed runtime one that may be bound anew, under a new epoch. What was bound before stays dead',
    params: runtimeParamsSchema,
    body: reactivateSchema,
    answer: answer.runtime,
    errors: [...INPUT, 'not_found', 'conflict', 'moved', 'revoked', 'store_unavailable'],
  },
  revoke: {
    method: 'POST',
    path: `${RUNTIMES}/{id}/revoke`,
    on: ['control'],
    needs: 'runtimes.stop',
    summary: 'Takes back a link of a chain, or a key',
    params: runtimeParamsSchema,
    body: revokeSchema,
    answer: answer.enforced,
    errors: [...INPUT, 'not_found'],
  },
  authorize: {
    method: 'POST',
    path: `${RUNTIMES}/{id}/authorize`,
    on: ['control', 'decision'],
    needs: 'runtimes.read',
    summary: 'Decides a request that is described in JSON',
    params: runtimeParamsSchema,
    body: authorizeSchema,
    answer: answer.authorized,
    errors: [...INPUT, 'not_found'],
    decides: true,
  },
  listDecisions: {
    method: 'GET',
    path: `${RUNTIMES}/decisions`,
    on: ['control'],
    needs: 'decisions.read',
    summary: 'Records of the decision log, exactly as they are stored',
    query: decisionsQuerySchema,
    answer: answer.decisions,
    errors: ['invalid_request', 'store_unavailable'],
  },
  streamDecisions: {
    method: 'GET',
    path: `${RUNTIMES}/decisions/stream`,
    on: ['control'],
    needs: 'decisions.read',
    summary:
      'The decision feed as server-sent events: `decision` with the stored record and an id to go on from (Last-Event-ID), `lag` to a client that is behind',
    query: streamQuerySchema,
    answer: { mediaType: 'text/event-stream' },
    errors: ['invalid_request', 'rate_limited', 'store_unavailable'],
  },
  explain: {
    method: 'GET',
    path: `${RUNTIMES}/decisions/{id}/explain`,
    on: ['control'],
    needs: 'decisions.read',
    summary: 'Why a decision was what it was, evaluated again',
    params: decisionParamsSchema,
    query: explainQuerySchema,
    answer: answer.explained,
    errors: ['invalid_request', 'not_found', 'store_unavailable'],
  },
  replayDecisions: {
    method: 'POST',
    path: `${RUNTIMES}/decisions/replay`,
    on: ['control'],
    needs: 'decisions.read',
    summary:
      'What would be decided now about recorded decisions, or about captured requests: a dry run, of which nothing is forwarded, spent, counted or recorded',
    body: replaySchema,
    bodyLimit: REPLAY_BODY_LIMIT,
    answer: answer.replayed,
    errors: [...INPUT],
  },
  exportDecisions: {
    method: 'GET',
    path: `${RUNTIMES}/decisions/export`,
    on: ['control'],
    needs: 'decisions.export',
    summary:
      'The decision log in one of three formats, gzip where it is accepted. In the order of commit, with filters by time. The trailer `lemma-next-cursor` is the `after` of the next one',
    query: exportQuerySchema,
    answer: { mediaType: ['application/x-ndjson', 'text/csv'] },
    errors: ['invalid_request', 'store_unavailable'],
  },
  alertsSummary: {
    method: 'GET',
    path: `${RUNTIMES}/alerts/summary`,
    on: ['control'],
    needs: 'decisions.read',
    summary:
      'What needs a look: denials above the usual, stops that reach nodes late, stale nodes, lost records, legacy tokens; each with the query of its decisions',
    answer: answers.alerts,
    errors: [],
  },
  monitorSummary: {
    method: 'GET',
    path: '/api/agent/monitor/summary',
    on: ['control'],
    needs: 'monitor.read',
    summary: 'Decisions of the last hour by minute and reason, runtimes that are active, alerts by severity',
    answer: answers.activity,
    errors: [],
  },
  monitorEvents: {
    method: 'GET',
    path: '/api/agent/monitor/events',
    on: ['control'],
    needs: 'monitor.read',
    summary:
      'Decisions and events of the control plane as server-sent events (`decision`, `control`, `lag`), ids and codes alone',
    query: monitorQuerySchema,
    answer: { mediaType: 'text/event-stream' },
    errors: ['invalid_request', 'rate_limited', 'store_unavailable'],
  },
  listKeys: {
    method: 'GET',
    path: KEYS,
    on: ['control'],
    needs: 'platform.read',
    summary: 'Public halves of the keys that sign, or signed, for this deployment',
    answer: answer.keys,
    errors: [],
  },
  rotateKey: {
    method: 'POST',
    path: `${KEYS}/rotate`,
    on: ['control'],
    needs: 'platform.keys',
    summary: 'Has a new key sign from now on; the one before is trusted until it is retired',
    body: rotateKeySchema,
    answer: answer.key,
    errors: [...INPUT, 'store_unavailable'],
  },
  retireKey: {
    method: 'POST',
    path: `${KEYS}/retire`,
    on: ['control'],
    needs: 'platform.keys',
    summary:
      'Takes the trust from a key that signs no more. Checkpoints that it signed are verified by it still',
    body: retireKeySchema,
    answer: answer.key,
    errors: [...INPUT, 'not_found', 'conflict', 'store_unavailable'],
  },
  opaKey: {
    method: 'GET',
    path: `${KEYS}/opa`,
    on: ['control'],
    needs: 'policies.read',
    summary: 'The key that signs bundles for stock OPA: for `keys` and `signing.keyid` of its configuration',
    answer: opaKeyAnswer,
    errors: [],
  },
  pullBundle: {
    method: 'GET',
    path: '/bundles/{profile}',
    on: ['control'],
    needs: 'policies.read',
    summary:
      "The active bundle as stock OPA takes it: Rego and data in a tar.gz, signed (ES256). ETag, and long polling by OPA's `Prefer: …;wait=`",
    params: bundleParamsSchema,
    answer: { mediaType: 'application/gzip' },
    conditional: true,
    errors: ['not_found', 'conflict', 'store_unavailable'],
  },
  policyHistory: {
    method: 'GET',
    path: `${POLICIES}/history`,
    on: ['control'],
    needs: 'policies.read',
    summary: 'Bundles that are kept, which are in force, and what operators did',
    query: policyHistoryQuerySchema,
    answer: verb.policyHistory,
    errors: ['invalid_request', 'store_unavailable'],
  },
  policyDiff: {
    method: 'GET',
    path: `${POLICIES}/diff`,
    on: ['control'],
    needs: 'policies.read',
    summary: 'What changes from one kept bundle to another: Rego, data, capabilities',
    query: policyDiffQuerySchema,
    answer: verb.policyDiff,
    errors: ['invalid_request', 'not_found', 'conflict', 'store_unavailable'],
  },
  policyBundle: {
    method: 'GET',
    path: `${POLICIES}/bundles/{sha256}`,
    on: ['control'],
    needs: 'policies.read',
    summary: 'A kept bundle by its digest, as .tar.gz: to look at, or to try recorded decisions with',
    params: nodeBundleParamsSchema,
    answer: { mediaType: 'application/gzip' },
    errors: ['invalid_request', 'not_found', 'store_unavailable'],
  },
  publishPolicy: {
    method: 'POST',
    path: `${POLICIES}/publish`,
    on: ['control'],
    needs: 'platform.policies',
    summary: 'Keeps a signed bundle; nothing comes into force',
    large: true,
    body: publishPolicySchema,
    answer: verb.policyBundle,
    errors: [...INPUT, 'conflict', 'bundle_rejected', 'store_unavailable'],
  },
  activatePolicies: {
    method: 'POST',
    path: `${POLICIES}/activate`,
    on: ['control'],
    needs: 'platform.policies',
    summary: 'Puts kept bundles into force, all or none',
    body: activatePoliciesSchema,
    answer: verb.policyBundles,
    errors: [...INPUT, 'not_found', 'conflict', 'bundle_rejected', 'bundle_rollback', 'store_unavailable'],
  },
  rollbackPolicy: {
    method: 'POST',
    path: `${POLICIES}/rollback`,
    on: ['control'],
    needs: 'platform.policies',
    summary: 'Puts an earlier bundle of a profile into force',
    body: rollbackPolicySchema,
    answer: verb.policyBundle,
    errors: [...INPUT, 'not_found', 'conflict', 'bundle_rejected', 'store_unavailable'],
  },
  getSettings: {
    method: 'GET',
    path: `${SETTINGS}/{level}`,
    on: ['control'],
    needs: 'settings.read',
    summary: 'Settings of the organisation, or of the env',
    params: settingsParamsSchema,
    answer: verb.settings,
    errors: ['invalid_request', 'store_unavailable'],
  },
  putSettings: {
    method: 'PUT',
    path: `${SETTINGS}/{level}`,
    on: ['control'],
    needs: 'settings.write',
    summary: 'Replaces the settings, all of them, where their version is still the one that is named',
    params: settingsParamsSchema,
    body: putSettingsSchema,
    answer: verb.settings,
    errors: [...INPUT, 'moved', 'store_unavailable'],
  },
  backup: {
    method: 'POST',
    path: '/api/wallet/backup',
    on: ['control'],
    needs: 'platform.backup',
    summary:
      'A copy of the store, made while it runs: an SQLite file without any private key, for `lemma restore`',
    answer: { mediaType: 'application/vnd.sqlite3' },
    errors: ['conflict', 'insufficient_storage', 'store_unavailable'],
  },
  exchangeProof: {
    method: 'POST',
    path: '/api/auth/exchange-proof',
    on: ['control', 'decision'],
    needs: null,
    summary:
      'A short-lived legacy token for the proof that the request carries, where a policy lets one through. 429 with Retry-After beyond what one client needs',
    body: exchangeSchema,
    answer: exchangedAnswer,
    errors: INPUT,
    decides: true,
  },
  introspect: {
    method: 'POST',
    path: '/api/auth/introspect',
    on: ['control'],
    needs: 'tokens.introspect',
    summary: 'What a legacy token is good for now (RFC 7662)',
    body: tokenBodySchema,
    form: true,
    answer: introspectedAnswer,
    errors: [...INPUT, 'state_not_ready'],
  },
  revokeToken: {
    method: 'POST',
    path: '/api/auth/revoke',
    on: ['control'],
    needs: 'tokens.revoke',
    summary: 'Takes back a legacy token; done as well for one that is not known (RFC 7009)',
    body: tokenBodySchema,
    form: true,
    answer: tokenRevokedAnswer,
    errors: [...INPUT, 'store_unavailable'],
  },
  listNodes: {
    method: 'GET',
    path: NODES,
    on: ['control'],
    needs: 'nodes.read',
    summary: 'Decision nodes: what each has applied, and how long it may still allow without a renewal',
    answer: answer.nodes,
    errors: [],
  },
  nodeSnapshot: {
    method: 'GET',
    path: `${NODES}/snapshot`,
    on: ['control'],
    needs: 'nodes.connect',
    summary: 'The state that a decision node starts from, signed',
    query: snapshotQuerySchema,
    answer: answer.nodeSnapshot,
    errors: ['invalid_request', 'store_unavailable'],
  },
  nodeEvents: {
    method: 'GET',
    path: `${NODES}/events`,
    on: ['control'],
    needs: 'nodes.connect',
    summary: 'Signed events after a place in the log, one JSON object a line, without end',
    query: eventsQuerySchema,
    answer: { mediaType: 'application/x-ndjson' },
    errors: ['invalid_request', 'moved'],
  },
  nodeLease: {
    method: 'POST',
    path: `${NODES}/lease`,
    on: ['control'],
    needs: 'nodes.connect',
    summary: 'Acknowledges what a node has applied, and says, signed, what there is',
    body: leaseRequestSchema,
    answer: answer.nodeLease,
    errors: [...INPUT, 'conflict', 'store_unavailable'],
  },
  nodeLeave: {
    method: 'POST',
    path: `${NODES}/leave`,
    on: ['control'],
    needs: 'nodes.connect',
    summary: 'A process of a node ends, and allows nothing any more: no stop waits for its lease',
    body: nodeLeaveSchema,
    answer: answer.nodeLeft,
    errors: [...INPUT, 'store_unavailable'],
  },
  nodeBundle: {
    method: 'GET',
    path: `${NODES}/bundles/{sha256}`,
    on: ['control'],
    needs: 'nodes.connect',
    summary: 'A policy bundle by its digest, as .tar.gz',
    params: nodeBundleParamsSchema,
    answer: { mediaType: 'application/gzip' },
    errors: ['invalid_request', 'not_found', 'store_unavailable'],
  },
  nodeJournal: {
    method: 'POST',
    path: `${NODES}/journal`,
    on: ['control'],
    needs: 'nodes.connect',
    summary: "Takes a node's decision records in order; the same again changes nothing",
    body: journalSchema,
    bodyLimit: 16 * 1024 * 1024,
    answer: answer.nodeJournal,
    errors: [...INPUT, 'conflict', 'store_unavailable'],
  },
  nodeTaint: {
    method: 'POST',
    path: `${NODES}/taint`,
    on: ['control'],
    needs: 'nodes.connect',
    summary:
      "Raises a runtime's taint epoch: a node is about to let an answer through that may carry instructions",
    body: nodeTaintSchema,
    answer: answer.nodeTaint,
    errors: [...INPUT, 'not_found', 'store_unavailable'],
  },
  ...ACCESS_OPERATIONS,
  check: {
    method: 'POST',
    path: '/envoy.service.auth.v3.Authorization/Check',
    on: ['decision'],
    needs: null,
    summary: "Envoy's Check in JSON: 200 for allow and deny, `status.code` says which",
    body: { type: 'object', description: 'envoy.service.auth.v3.CheckRequest as proto3 JSON' },
    answer: answer.checked,
    errors: INPUT,
  },
  evaluation: {
    method: 'POST',
    path: '/access/v1/evaluation',
    on: ['decision'],
    needs: null,
    summary: 'AuthZEN 1.0, Access Evaluation: 200 with `decision`, whatever it is',
    body: evaluationSchema,
    answer: evaluationAnswer,
    errors: [...INPUT, 'auth_required'],
  },
  evaluations: {
    method: 'POST',
    path: '/access/v1/evaluations',
    on: ['decision'],
    needs: null,
    summary: 'AuthZEN 1.0, Access Evaluations: several at once, under one of three semantics',
    body: evaluationsSchema,
    answer: evaluationsAnswer,
    errors: [...INPUT, 'auth_required'],
  },
  authzenConfiguration: {
    method: 'GET',
    path: '/.well-known/authzen-configuration',
    on: ['decision'],
    needs: null,
    summary: 'AuthZEN 1.0, metadata',
    answer: authzenConfigurationAnswer,
    errors: ['invalid_request'],
  },
  forwardAuth: {
    method: 'GET',
    anyMethod: true,
    path: `${FORWARD_AUTH_PREFIX}{proxy}`,
    on: ['decision'],
    needs: null,
    summary:
      "Decides the request that a proxy's headers describe (for envoy: this one, its path after the prefix). Any method",
    params: forwardAuthParamsSchema,
    answer: { mediaType: 'text/plain' },
    errors: ['not_found'],
    denies: [401, 403],
  },
  health: {
    method: 'GET',
    path: '/healthz',
    on: ['control', 'decision'],
    needs: null,
    summary: 'Whether the process answers',
    answer: answer.status,
    errors: [],
  },
  readiness: {
    method: 'GET',
    path: '/readyz',
    on: ['control', 'decision'],
    needs: null,
    summary: 'Whether it can decide',
    answer: answer.status,
    errors: ['state_not_ready'],
  },
  metrics: {
    method: 'GET',
    path: '/metrics',
    on: ['control'],
    needs: null,
    summary: 'Prometheus metrics',
    answer: { mediaType: 'text/plain' },
    errors: [],
  },
  openapi: {
    method: 'GET',
    path: '/openapi.json',
    on: ['control'],
    needs: null,
    summary: 'This document',
    answer: { type: 'object' },
    errors: [],
  },
  openapiPage: {
    method: 'GET',
    path: '/openapi',
    on: ['control'],
    needs: null,
    summary: 'This document as a page to read',
    conditional: true,
    answer: { mediaType: 'text/html' },
    errors: [],
  },
  docs: {
    method: 'GET',
    path: '/docs',
    on: ['control'],
    needs: null,
    summary: 'The documentation',
    conditional: true,
    answer: { mediaType: 'text/html' },
    errors: [],
  },
  docsPage: {
    method: 'GET',
    path: '/docs/{page}',
    on: ['control'],
    needs: null,
    summary: 'A page of the documentation',
    params: docsParamsSchema,
    conditional: true,
    answer: { mediaType: 'text/html' },
    errors: ['not_found'],
  },
} as const satisfies Record<string, Operation>;

export type OperationId = keyof typeof OPERATIONS;

/** The path as Fastify writes it. */
export function routePath({ path }: Pick<Operation, 'path'>): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}
