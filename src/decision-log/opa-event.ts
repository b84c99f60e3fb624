import type { DecisionRecord } from '../schema/decision.ts';

/** An event of OPA's decision log (openpolicyagent.org/docs/management-decision-logs), as far as a record has its members. */
export interface OpaEvent {
  readonly labels: Readonly<Record<string, string>>;
  readonly decision_id: string;
  readonly trace_id?: string;
  readonly bundles?: Readonly<Record<string, { readonly revision: string }>>;
  readonly path: string;
  readonly input?: unknown;
  readonly result: Readonly<Record<string, unknown>>;
  readonly requested_by?: string;
  readonly timestamp: string;
  readonly metrics: Readonly<Record<string, number>>;
  /** JSON pointers of what was taken out. */
  readonly erased?: readonly string[];
  readonly custom: { readonly lemma: Readonly<Record<string, unknown>> };
}

const US = 1000;

/**
 * A stored line as OPA's event. `result` is the policy's, or none where a hard stop came first, with the final verdict in its
 * `allow` and `reason`: a late kill denies what the policy had allowed. What OPA has no member for stands in `custom.lemma`.
 *
 * `version`: of Lemma, for the labels, which are otherwise the node, org and env.
 */
export function opaEvent(line: string, version: string): OpaEvent {
  const record = JSON.parse(line) as DecisionRecord;
  const { bundle, input, node, org, env, took_us: took, trace_id } = record;
  const asked = record.enforcement_point ?? input?.request.source.address;
  return {
    labels: { app: 'lemma', id: node, version, org, env },
    decision_id: record.decision_id,
    ...(trace_id === null ? {} : { trace_id }),
    ...(bundle === null ? {} : { bundles: { [bundle.name]: { revision: bundle.revision } } }),
    path: record.profile === null ? 'lemma/decision' : `lemma/${record.profile}/decision`,
    ...(input === null ? {} : { input }),
    result: {
      ...record.result,
      allow: record.verdict === 'allow',
      reason: record.reason,
      reasons: record.reasons,
    },
    ...(typeof asked === 'string' && asked !== '' ? { requested_by: asked } : {}),
    timestamp: new Date(record.time).toISOString(),
    metrics: {
      timer_lemma_request_ns: took.request * US,
      timer_lemma_proof_ns: took.proof * US,
      timer_lemma_gate_ns: took.gate * US,
      timer_rego_query_eval_ns: took.policy * US,
      timer_server_handler_ns: (took.request + took.proof + took.gate + took.policy + took.log) * US,
    },
    custom: { lemma: about(record) },
  };
}

/** The same without its input, for a receiver that takes no more bytes. */
export function withoutInput(event: OpaEvent): OpaEvent {
  const { input: _, ...rest } = event;
  return { ...rest, erased: ['/input'] };
}

function about(record: DecisionRecord): Record<string, unknown> {
  const { actor, route, request } = record;
  return {
    seq: record.seq,
    hash: record.hash,
    verdict: record.verdict,
    stage: record.stage,
    observed: record.observed,
    amends: record.amends,
    border: record.border,
    profile: record.profile,
    route: route?.id ?? null,
    subject: actor?.subject ?? null,
    runtime_id: actor?.runtime_id ?? null,
    agent_id: actor?.agent_id ?? null,
    workspace_id: actor?.workspace_id ?? null,
    method: request?.method ?? null,
    host: request?.host ?? null,
    path: request?.path ?? null,
    requests: record.requests ?? 1,
  };
}
