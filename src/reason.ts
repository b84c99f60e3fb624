/**
 * The closed registry of reason codes: what a caller sees, what the log keeps, what metrics are labelled with.
 *
 * `http` is the status for callers over HTTP and in Envoy's `denied_response`; `grpc` is `status.code` of a
 * CheckResponse (16 UNAUTHENTICATED, 7 PERMISSION_DENIED, 0 OK). A denial is never a gRPC error: Envoy obeys
 * `failure_mode_allow` for those.
 */
export interface ReasonStatus {
  readonly http: number;
  readonly grpc: 0 | 7 | 16;
}

const unauthenticated: ReasonStatus = { http: 401, grpc: 16 };
const forbidden: ReasonStatus = { http: 403, grpc: 7 };
const tooLarge: ReasonStatus = { http: 413, grpc: 7 };
const tooMany: ReasonStatus = { http: 429, grpc: 7 };
const unavailable: ReasonStatus = { http: 503, grpc: 7 };

export const REASONS = {
  allowed: { http: 200, grpc: 0 },

  header_ambiguous: forbidden,
  credential_ambiguous: forbidden,
  path_ambiguous: forbidden,
  route_unknown: forbidden,
  method_not_allowed: forbidden,
  payload_too_large: tooLarge,
  body_truncated: forbidden,
  context_missing: forbidden,

  auth_required: unauthenticated,
  encoding_invalid: unauthenticated,
  json_duplicate_key: unauthenticated,
  version_unsupported: unauthenticated,
  schema_invalid: unauthenticated,
  chain_too_deep: unauthenticated,
  chain_incomplete: unauthenticated,
  chain_order_invalid: unauthenticated,
  root_untrusted: unauthenticated,
  chain_parent_mismatch: unauthenticated,
  key_weak: unauthenticated,
  key_reused: unauthenticated,
  signature_invalid: unauthenticated,
  chain_subject_mismatch: unauthenticated,
  scope_escalation: unauthenticated,
  audience_escalation: unauthenticated,
  expiry_escalation: unauthenticated,
  ttl_too_long: unauthenticated,
  proof_not_yet_valid: unauthenticated,
  proof_expired: unauthenticated,
  pop_required: unauthenticated,
  pop_invalid: unauthenticated,
  pop_stale: unauthenticated,
  pop_body_mismatch: unauthenticated,
  audience_mismatch: forbidden,
  scope_denied: forbidden,
  bounds_exceeded: forbidden,

  runtime_unknown: forbidden,
  runtime_inactive: forbidden,
  runtime_killed: forbidden,
  revoked: forbidden,
  replay_detected: forbidden,
  replay_check_unavailable: unavailable,
  freshness_stale: forbidden,
  taint_stale: forbidden,
  taint_ahead: forbidden,
  budget_exhausted: forbidden,
  state_not_ready: unavailable,
  clock_untrusted: unavailable,

  policy_denied: forbidden,
  run_required: forbidden,
  policy_error: forbidden,
  policy_timeout: forbidden,
  policy_unavailable: unavailable,
  bundle_rejected: forbidden,
  bundle_rollback: forbidden,

  legacy_disabled: forbidden,
  token_invalid: unauthenticated,
  token_expired: unauthenticated,

  rate_limited: tooMany,
  overloaded: unavailable,
  audit_unavailable: unavailable,
  internal_error: unavailable,
} as const satisfies Record<string, ReasonStatus>;

/** A code of ours, or a policy author's own, which starts with `x_`. */
export type ReasonCode = keyof typeof REASONS;
export type Reason = ReasonCode | `x_${string}`;

const OWN_CODE = /^x_[a-z0-9_]{1,62}$/;

export function isReasonCode(code: string): code is ReasonCode {
  return Object.hasOwn(REASONS, code);
}

export function isReason(code: string): code is Reason {
  return isReasonCode(code) || OWN_CODE.test(code);
}

/** Status of any reason; a policy author's own code is a plain denial (403 / 7). */
export function statusOf(reason: Reason): ReasonStatus {
  return isReasonCode(reason) ? REASONS[reason] : forbidden;
}

/** Codes that the default policies may deny with (contracts.md, "What the policy says"). */
export const POLICY_DENIAL_CODES = [
  'pop_required',
  'freshness_stale',
  'taint_stale',
  'taint_ahead',
  'budget_exhausted',
  'legacy_disabled',
  'run_required',
  'ttl_too_long',
  'body_truncated',
  'context_missing',
  'policy_denied',
] as const satisfies readonly ReasonCode[];

/** What an operator may see of a failed check: plain facts, never a proof, token or body. */
export type Facts = { readonly [name: string]: string | number | boolean | null | readonly string[] };

/**
 * A check that failed. `code` goes to the caller; the message and the facts are for operators, in `explain`.
 */
export class Denial extends Error {
  override readonly name = 'Denial';
  readonly code: Reason;
  readonly facts: Facts;

  constructor(code: Reason, message: string, facts: Facts = {}) {
    super(message);
    this.code = code;
    this.facts = facts;
  }
}

/** Input from a person (configuration, API body, flag) that cannot be used: names the field and the mend. */
export class InputError extends Error {
  override readonly name = 'InputError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map((p) => (p.field === '' ? p.message : `${p.field}: ${p.message}`)).join('\n'));
    this.problems = problems;
  }
}

/** One thing wrong: a dotted field path (`routes[0].risk`; empty for the whole) and what to do about it. */
export interface Problem {
  readonly field: string;
  readonly message: string;
}
