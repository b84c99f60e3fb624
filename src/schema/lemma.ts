import type { FromSchema } from 'json-schema-to-ts';
import {
  BYTES32_PATTERN,
  BYTES64_PATTERN,
  ID_PATTERN,
  LEMMA_ID_PATTERN,
  METHOD_PATTERN,
  PROFILES,
  SCOPE_PATTERN,
  SUBJECT_PATTERN,
} from './common.ts';

/** The wire format of a lemma (proofs.md). What no JSON Schema can say stands in `proof/decode.ts`. */

const id = { type: 'string', pattern: ID_PATTERN } as const;

export const boundsSchema = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: {
    methods: { type: 'array', minItems: 1, maxItems: 8, items: { type: 'string', pattern: METHOD_PATTERN } },
    path_prefixes: { type: 'array', minItems: 1, maxItems: 32, items: { type: 'string', minLength: 1 } },
    pop: { const: true },
  },
} as const;

export const budgetSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['operations'],
  properties: { operations: { type: 'integer', minimum: 1, maximum: 1_000_000 } },
} as const;

const rootClaimsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['org', 'env'],
  properties: { org: id, env: id },
} as const;

export const delegationClaimsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['intent'],
  properties: {
    // Code points, none a control, format, line or paragraph separator.
    intent: { type: 'string', pattern: '^[^\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]{1,200}$' },
    bounds: boundsSchema,
  },
} as const;

const runtimeClaimsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['runtime_id', 'agent_id', 'workspace_id', 'profile', 'taint_epoch'],
  properties: {
    runtime_id: id,
    agent_id: id,
    workspace_id: id,
    profile: { enum: PROFILES },
    taint_epoch: { type: 'integer', minimum: 0 },
    budget: budgetSchema,
    bounds: boundsSchema,
  },
} as const;

const runClaimsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['run_id', 'budget'],
  properties: { run_id: id, budget: budgetSchema, bounds: boundsSchema },
} as const;

const seconds = { type: 'integer', minimum: 0 } as const;

const common = {
  v: { const: 1 },
  id: { type: 'string', pattern: LEMMA_ID_PATTERN },
  issuer: { type: 'string', pattern: BYTES32_PATTERN },
  subject: { type: 'string', pattern: SUBJECT_PATTERN },
  key: { type: 'string', pattern: BYTES32_PATTERN },
  audience: { type: 'array', minItems: 1, maxItems: 16, items: { type: 'string', maxLength: 512 } },
  issued_at: seconds,
  not_before: seconds,
  expires_at: seconds,
  signature: { type: 'string', pattern: BYTES64_PATTERN },
} as const;

const required = [
  'v',
  'type',
  'id',
  'issuer',
  'subject',
  'key',
  'audience',
  'scope',
  'issued_at',
  'not_before',
  'expires_at',
  'claims',
  'signature',
] as const;

const scope = { type: 'array', maxItems: 64, items: { type: 'string', pattern: SCOPE_PATTERN } } as const;
const parent = { type: 'string', pattern: BYTES32_PATTERN } as const;

export const rootSchema = {
  type: 'object',
  additionalProperties: false,
  required,
  properties: {
    ...common,
    type: { const: 'root' },
    scope: { type: 'array', maxItems: 0, items: { type: 'string' } },
    claims: rootClaimsSchema,
  },
} as const;

export const delegationSchema = {
  type: 'object',
  additionalProperties: false,
  required: [...required, 'parent'],
  properties: { ...common, type: { const: 'delegation' }, scope, parent, claims: delegationClaimsSchema },
} as const;

export const runtimeSchema = {
  type: 'object',
  additionalProperties: false,
  required: [...required, 'parent'],
  properties: { ...common, type: { const: 'runtime' }, scope, parent, claims: runtimeClaimsSchema },
} as const;

export const runSchema = {
  type: 'object',
  additionalProperties: false,
  required: [...required, 'parent'],
  properties: { ...common, type: { const: 'run' }, scope, parent, claims: runClaimsSchema },
} as const;

export const LEMMA_TYPES = ['root', 'delegation', 'runtime', 'run'] as const;
export type LemmaType = (typeof LEMMA_TYPES)[number];

export type Bounds = FromSchema<typeof boundsSchema>;
export type RootLemma = FromSchema<typeof rootSchema>;
export type DelegationLemma = FromSchema<typeof delegationSchema>;
export type RuntimeLemma = FromSchema<typeof runtimeSchema>;
export type RunLemma = FromSchema<typeof runSchema>;
/** A signed statement, without `chain`. */
export type Lemma = RootLemma | DelegationLemma | RuntimeLemma | RunLemma;

/** A leaf with its ancestors in `chain`, root first: what travels, and what LEMMA_PROOF_FILE holds. */
export type CredentialJson = Lemma & { chain: Lemma[] };
