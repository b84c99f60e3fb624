import type { DecisionRecord } from '../../schema/decision.ts';
import type { Query } from './api.ts';

/** One line of the feed: what a row shows of a record, which holds much more. */
export interface DecisionRow {
  /** Of the record: a decision that was amended has two. */
  readonly key: string;
  readonly id: string;
  readonly time: number;
  readonly verdict: DecisionRecord['verdict'];
  readonly reason: string;
  readonly observed: boolean;
  readonly amends: boolean;
  readonly requests: number;
  /** Records just before it that could not be kept. */
  readonly lost: number;
  readonly runtime: string | null;
  readonly agent: string | null;
  readonly method: string | null;
  readonly host: string | null;
  readonly path: string | null;
  readonly route: string | null;
  readonly profile: string | null;
  readonly took_us: number;
}

export function rowOf(record: DecisionRecord): DecisionRow {
  const { took_us: took, request, actor } = record;
  return {
    key: `${record.node} ${record.seq}`,
    id: record.decision_id,
    time: record.time,
    verdict: record.verdict,
    reason: record.reason,
    observed: record.observed,
    amends: record.amends,
    requests: record.requests ?? 1,
    lost: record.lost ?? 0,
    runtime: actor?.runtime_id ?? null,
    agent: actor?.agent_id ?? null,
    method: request?.method ?? null,
    host: request?.host ?? null,
    path: request?.path ?? null,
    route: record.route?.id ?? null,
    profile: record.profile,
    took_us: took.request + took.proof + took.gate + took.policy + took.log,
  };
}

/** Filters of the feed, as the URL and the API name them. */
export const FILTERS = [
  'verdict',
  'runtime',
  'reason',
  'route',
  'agent',
  'workspace',
  'subject',
  'since',
  'until',
] as const;
export type Filter = (typeof FILTERS)[number];

export function filtersIn(params: URLSearchParams): Query {
  return Object.fromEntries(FILTERS.map((name) => [name, params.get(name)]));
}

export function decisionPath(id: string): string {
  return `/decisions/${id}`;
}

/** The feed with filters, as a place of the console. */
export function feedPath(filters: Query): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(filters))
    if (value !== null && value !== undefined && value !== '') params.set(name, String(value));
  const query = params.toString();
  return query === '' ? '/decisions' : `/decisions?${query}`;
}

export function decisionsSince(runtime: string, since: string): string {
  return feedPath({ runtime, since });
}

/** The decisions that an alert is about. */
export function alertPath({ query }: { readonly query: string }): string {
  return feedPath(Object.fromEntries(new URL(query, location.origin).searchParams));
}
