import { randomBytes } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import type { Reservation } from '../gate/budget.ts';
import type { VerifiedChain } from '../proof/chain.ts';
import { Denial, type Reason } from '../reason.ts';
import { asksForUpgrade } from '../request/headers.ts';
import type { Routed } from '../request/route-map.ts';
import { strippedHeaders } from '../request/strip.ts';
import type { Profile } from '../schema/common.ts';
import type {
  Actor,
  BundleRef,
  Decision,
  RecordBody,
  SpentNonce,
  Stage,
  Verdict,
} from '../schema/decision.ts';
import type { PolicyInput } from '../schema/input.ts';
import type { Lemma } from '../schema/lemma.ts';
import type { AuthzRequest } from '../schema/request.ts';
import type { PolicyResult } from '../schema/result.ts';
import { linkFacts } from './input.ts';

/** Follows one decision for a trace. */
export interface DecisionTrace {
  /** Of the trace, 32 hex: stands in the record. */
  readonly id: string;
  /** Told when the decision is made; never throws. */
  end(draft: Draft): void;
}

/** Begins with a decision; null where it is in no trace. Never throws. */
export type Follow = (request: AuthzRequest, nowMs: number) => DecisionTrace | null;

/** What is known of a decision while it is made. It begins as a denial and only `decide` turns it. */
export interface Draft {
  readonly id: string;
  readonly request: AuthzRequest;
  readonly nowMs: number;
  readonly trace: DecisionTrace | null;
  stage: Stage;
  verdict: Verdict;
  reason: Reason;
  reasons: readonly Reason[];
  observed: boolean;
  failed: RecordBody['failed'];
  routed: Routed | null;
  /** As they came, verified or not. */
  links: readonly Lemma[] | null;
  chain: VerifiedChain | null;
  nonce: SpentNonce | null;
  profile: Profile | null;
  bundle: BundleRef | null;
  /** The profile asks that the record be durable before the answer. */
  durable: boolean;
  reservation: Reservation | null;
  input: PolicyInput | null;
  inputJson: string | null;
  result: PolicyResult | null;
  resultJson: string | null;
  readonly took: { request: number; proof: number; gate: number; policy: number; log: number };
  mark: number;
}

export function openDraft(request: AuthzRequest, nowMs: number, follow?: Follow): Draft {
  return {
    id: newId(nowMs),
    request,
    nowMs,
    trace: follow?.(request, nowMs) ?? null,
    stage: 'request',
    verdict: 'deny',
    reason: 'internal_error',
    reasons: ['internal_error'],
    observed: false,
    failed: null,
    routed: null,
    links: null,
    chain: null,
    nonce: null,
    profile: null,
    bundle: null,
    durable: false,
    reservation: null,
    input: null,
    inputJson: null,
    result: null,
    resultJson: null,
    took: { request: 0, proof: 0, gate: 0, policy: 0, log: 0 },
    mark: performance.now(),
  };
}

/**
 * The time (ms, 48 bits), then 80 random bits: an index of decisions grows at one place, where wholly random ids write
 * another page of it for each record.
 */
function newId(nowMs: number): string {
  const bytes = randomBytes(16);
  for (let at = 0; at < 6; at++) bytes[at] = nowMs / 2 ** (40 - 8 * at);
  return `dec_${toBase64url(bytes)}`;
}

/** Closes a stage's time and opens the next. */
export function enter(draft: Draft, stage: Stage): void {
  const now = performance.now();
  if (draft.stage !== 'answer') draft.took[draft.stage] += Math.round((now - draft.mark) * 1000);
  draft.mark = now;
  draft.stage = stage;
}

/** A check that failed, or something that should never happen, becomes the denial that it is. */
export function refuse(draft: Draft, error: unknown): void {
  const denial =
    error instanceof Denial
      ? error
      : new Denial('internal_error', error instanceof Error ? error.name : 'an unknown error');
  draft.verdict = 'deny';
  draft.reason = denial.code;
  draft.reasons = [denial.code];
  draft.failed = { check: denial.code, message: clip(denial.message), facts: clipFacts(denial.facts) };
  draft.reservation?.release();
  draft.reservation = null;
}

export function actorOf(chain: VerifiedChain | null): Actor | null {
  if (chain === null) return null;
  const { runtime_id, agent_id, workspace_id } = chain.runtime.claims;
  return {
    subject: chain.leaf.subject,
    runtime_id,
    agent_id,
    workspace_id,
    run_id: chain.run?.claims.run_id ?? null,
    scope: [...chain.leaf.scope] as string[],
  };
}

export function decisionOf(draft: Draft): Decision {
  return {
    decision_id: draft.id,
    verdict: draft.verdict === 'allow' || draft.observed ? 'allow' : 'deny',
    reason: draft.reason,
    reasons: draft.reasons,
    stage: draft.stage,
    // Who was let through unproven, on a route that only observes, is nobody to the upstream.
    actor: draft.failed === null ? actorOf(draft.chain) : null,
    // What a policy asked for holds only while its verdict does.
    result: draft.failed === null ? draft.result : null,
    ...strippedHeaders(draft.request, draft.routed?.route ?? null),
    observed: draft.observed,
    taintOnResponse: taints(draft),
  };
}

/** Whether the answer of the upstream may carry instructions for the agent. */
export function taints({ routed, result }: Draft): boolean {
  return routed?.route.taint_on_response === true || result?.obligations?.taint === true;
}

export interface RecordContext {
  readonly node: string;
  readonly org: string;
  readonly env: string;
  readonly configRevision: string;
  readonly routeRevision: string;
}

export function recordOf(draft: Draft, context: RecordContext, amends = false): RecordBody {
  const { request, routed, chain } = draft;
  const realm = routed?.route ?? context;
  return {
    decision_id: draft.id,
    time: draft.nowMs,
    node: context.node,
    org: realm.org,
    env: realm.env,
    profile: draft.profile,
    bundle: draft.bundle,
    route: routed === null ? null : { id: routed.route.id, revision: context.routeRevision },
    config_revision: context.configRevision,
    verdict: draft.verdict,
    reason: draft.reason,
    reasons: draft.reasons,
    stage: draft.stage,
    observed: draft.observed,
    amends,
    border: request.border,
    ...(request.enforcementPoint === undefined ? {} : { enforcement_point: clip(request.enforcementPoint) }),
    ...tokenOf(chain),
    actor: actorOf(chain),
    request: {
      method: clip(request.method),
      // User information before a host is a secret that nobody may send: it is denied, and not kept.
      host: clip(request.host.slice(request.host.lastIndexOf('@') + 1)),
      path: clip(request.target.split('?', 1)[0] ?? ''),
      ...(asksForUpgrade(request.headers) ? { upgrade: true } : {}),
    },
    failed: draft.failed,
    links: draft.links === null ? null : linkFacts(draft.links),
    nonce: draft.nonce,
    input: draft.input,
    result: draft.result,
    took_us: { ...draft.took },
    trace_id: draft.trace?.id ?? request.traceId,
  };
}

function tokenOf(chain: VerifiedChain | null): Pick<RecordBody, 'token'> {
  if (chain?.token === undefined) return {};
  const { id, issued_at, expires_at } = chain.token;
  return { token: { id, issued_at, expires_at } };
}

/** Longest text that a record keeps of what a client sent outside the input. */
const CLIP = 1024;

function clip(text: string): string {
  return text.length <= CLIP ? text.toWellFormed() : `${text.slice(0, CLIP).toWellFormed()}…`;
}

function clipFacts(facts: Denial['facts']): Denial['facts'] {
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]) => {
      if (typeof value === 'string') return [name, clip(value)];
      return [name, Array.isArray(value) ? value.slice(0, 64).map((item: string) => clip(item)) : value];
    }),
  );
}
