import { FORWARD_AUTH_PREFIX, FORWARD_AUTH_PROXIES } from '../request/forward-auth.ts';
import type { Permission } from '../schema/access.ts';
import {
  type ApiErrorCode,
  authorizeSchema,
  bootstrapSchema,
  decisionParamsSchema,
  decisionsQuerySchema,
  explainQuerySchema,
  exportQuerySchema,
  issueProofSchema,
  killSchema,
  PROOF_TTL,
  retireKeySchema,
  revokeSchema,
  rotateKeySchema,
  runtimeParamsSchema,
  runtimesQuerySchema,
} from '../schema/api.ts';
import { ACCESS_OPERATIONS } from './access-operations.ts';
import * as answer from './answers.ts';

/** Every operation of the REST API: the servers route by this table, and `/openapi.json` is made from it. */

export interface Operation {
  readonly method: 'GET' | 'POST';
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
  /** What a 200 holds: a schema of JSON, or another media type. */
  readonly answer: object | { readonly mediaType: string };
  readonly errors: readonly ApiErrorCode[];
  /** Also answers with the reason's status and the error shape: it decides. */
  readonly decides?: true;
  /** The statuses of its denials, which are all that it knows beside 200. */
  readonly denies?: readonly number[];
}

const INPUT = ['invalid_request', 'payload_too_large', 'unsupported_media_type'] as const;
const RUNTIMES = '/api/wallet/runtimes';
const KEYS = '/api/wallet/keys';

const forwardAuthParamsSchema = {
  type: 'object',
  required: ['proxy'],
  properties: { proxy: { enum: FORWARD_AUTH_PROXIES, description: 'Who asks' } },
} as const;

export const OPERATIONS = {
  bootstrap: {
    method: 'POST',
    path: `${RUNTIMES}/bootstrap`,
    on: ['control'],
    needs: 'runtimes.write',
    summary: 'Registers a runtime. The same registration again changes nothing',
    body: bootstrapSchema,
    answer: answer.runtime,
    errors: [...INPUT, 'not_found', 'conflict', 'runtime_killed', 'store_unavailable'],
  },
  issueProof: {
    method: 'POST',
    path: `${RUNTIMES}/issue-proof`,
    on: ['control'],
    needs: 'runtimes.write',
    summary: `Binds a key to a runtime at its current taint epoch, for at most ${PROOF_TTL.most / 3600} hours`,
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
  exportDecisions: {
    method: 'GET',
    path: `${RUNTIMES}/decisions/export`,
    on: ['control'],
    needs: 'decisions.export',
    summary: 'The decision log, one stored line after the other',
    query: exportQuerySchema,
    answer: { mediaType: 'application/x-ndjson' },
    errors: ['invalid_request', 'store_unavailable'],
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
} as const satisfies Record<string, Operation>;

export type OperationId = keyof typeof OPERATIONS;

/** The path as Fastify writes it. */
export function routePath({ path }: Pick<Operation, 'path'>): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}
