import { PROOF_TTL } from '../schema/api.ts';
import type { Tenant } from '../store/model.ts';
import type { Activity, Denials, TenantActivity } from './activity.ts';
import type { Awake } from './awake.ts';
import type { LagSummary, Lags } from './lags.ts';
import { MINUTE, type Minutes, minutes } from './minutes.ts';
import type { NodeSeen, NodeTwice, NodeWatch } from './node-watch.ts';

export const ALERT_KINDS = [
  'deny_spike',
  'revocation_lag',
  'stale_node',
  'duplicate_node',
  'records_lost',
  'legacy_token',
  'upload_behind',
  'shared_memory_lost',
  'policy_source',
] as const;
export const SEVERITIES = ['info', 'warning', 'critical'] as const;

/** `since` in milliseconds. `decisions`: filters of the feed that show what it is about. */
export interface Alert {
  readonly kind: (typeof ALERT_KINDS)[number];
  readonly severity: (typeof SEVERITIES)[number];
  readonly since: number;
  readonly message: string;
  readonly facts: Readonly<Record<string, string | number | null>>;
  readonly decisions: AlertFilters;
}

/** Names are the feed's. */
export interface AlertFilters {
  readonly runtime?: string;
  readonly reason?: string;
  readonly verdict?: 'deny';
  readonly since: number;
}

export interface AlertSummary {
  readonly alerts: readonly Alert[];
  readonly revocation_lag: LagSummary;
  /** What the spikes were held against: minutes in which anything was decided, the last 60 of them; fewer while it is learned. */
  readonly baseline_minutes: number;
}

/** How the upload of the log stands; null where none is configured. */
export interface UploadState {
  readonly behind: number;
  /** When it last failed without a success since, milliseconds; null: it does not fail. */
  readonly failing_since: number | null;
  readonly error: string | null;
}

/** What keeps the policies of a repository from being in force. `commit` null: it cannot be read. */
export interface PolicySourceTrouble {
  readonly since: number;
  readonly commit: string | null;
  readonly message: string;
}

export interface AlertSources {
  /** The deployment's own tenant, whose operators alone hear of nodes, losses and the upload. */
  readonly home: Tenant;
  readonly activity: Activity;
  readonly lags: Lags;
  readonly nodes: NodeWatch;
  /** Records that were lost since the log was opened. */
  readonly lost: () => number;
  readonly upload: () => UploadState | null;
  /** Null: what the repository of policies is at is in force. Absent: there is none. */
  readonly policySource?: () => PolicySourceTrouble | null;
  /** Since when what all nodes share (Redis) remembers, seconds; null: nothing is shared, or it was never reached. */
  readonly sharedSince: () => number | null;
  /** Since when this deployment issues proofs, milliseconds. */
  readonly born: number;
  readonly clock: () => number;
}

export interface Alerts {
  summary(tenant: Tenant): AlertSummary;
  /** Looks whether records were lost since the last look: at each commit. */
  look(): void;
}

/** The window of a spike, in minutes, and what it is held against: so many before it in which anything was decided. */
const WINDOW = 5;
const BASELINE = 60;
/** Below so many nothing is a spike: nobody knows yet what is usual. */
const BASELINE_AT_LEAST = 10;
const SPIKE_AT_LEAST = 10;
const SPIKE_RATIO = 3;
const SPIKE_SIGMAS = 4;
const CRITICAL_RATIO = 10;
const CRITICAL_AT_LEAST = 100;
/** The gravest first; more are counted alone. */
const ALERTS_AT_MOST = 200;
const HOUR = 3_600_000;

export function createAlerts(sources: AlertSources): Alerts {
  const { home, activity, lags, nodes, lost, upload, policySource, sharedSince, born, clock } = sources;
  const losses = minutes();
  let known = lost();

  function look(): void {
    const now = lost();
    if (now > known) losses.add(clock(), now - known);
    known = now;
  }

  function ofDeployment(lag: LagSummary, now: number): Alert[] {
    return [
      ...lagAlerts(lag),
      ...nodes.stale(now).map((node) => staleAlert(node, now)),
      ...nodes.twice(now).map(twiceAlert),
      ...lostAlerts(losses, now),
      ...uploadAlerts(upload(), now),
      ...sourceAlerts(policySource?.() ?? null, now),
      ...memoryAlerts(sharedSince(), born, now),
    ];
  }

  return {
    look,
    summary(tenant) {
      look();
      const now = clock();
      const seen = activity.of(tenant);
      const baseline = baselineOf(seen, now);
      const lag = lags.summary(now);
      const alerts = [
        ...spikes(seen, now, baseline),
        ...legacyAlerts(seen, now),
        ...(tenant.org === home.org && tenant.env === home.env ? ofDeployment(lag, now) : []),
      ];
      const grave = (alert: Alert) => SEVERITIES.indexOf(alert.severity);
      alerts.sort((a, b) => grave(b) - grave(a) || b.since - a.since);
      return { alerts: alerts.slice(0, ALERTS_AT_MOST), revocation_lag: lag, baseline_minutes: baseline };
    },
  };
}

/** The first minute of the window, by the wall clock. */
function windowFrom(now: number): number {
  return now - (WINDOW - 1) * MINUTE;
}

/** Minutes before the window in which anything was decided, 60 at most. */
function baselineOf({ awake }: TenantActivity, now: number): number {
  const first = awake.from(windowFrom(now)) ?? Number.POSITIVE_INFINITY;
  return Math.min(BASELINE, awake.before(first));
}

/**
 * Denials of one runtime for one reason that are unusually many. With n denials in this minute and the four before, and b in
 * the m minutes before those in which the tenant had any decision (the last 60 of them, at least 10), n was expected to be
 * e = 5 b / m. A spike is
 *
 *     n >= 10   and   n >= 3 e   and   n > e + 4 sqrt(max(e, 1) (1 + 5 / m))
 *
 * the last being four standard deviations of what five more minutes of a Poisson process bring that was seen for m. It is
 * critical at n >= 100 and n >= 10 e. It began with the first minute of the window that had more than e / 5.
 *
 * Minutes in which nothing was decided say nothing: a deployment that has just begun, or that slept for the night, would
 * else be told that no denial is usual.
 */
function spikes(seen: TenantActivity, now: number, baseline: number): Alert[] {
  const from = seen.awake.from(windowFrom(now));
  if (baseline < BASELINE_AT_LEAST || from === null) return [];
  return [...seen.denials].flatMap(
    (denials) => spikeOf(denials, { awake: seen.awake, from, now, baseline }) ?? [],
  );
}

interface Window {
  readonly awake: Awake;
  /** Its first minute, by the clock of `awake`. */
  readonly from: number;
  readonly now: number;
  readonly baseline: number;
}

function spikeOf(
  { runtime_id, reason, counts }: Denials,
  { awake, from, now, baseline }: Window,
): Alert | null {
  const n = counts.sum(from, Number.POSITIVE_INFINITY);
  if (n < SPIKE_AT_LEAST) return null;
  const before = counts.sum(from - baseline * MINUTE, from - MINUTE);
  const expected = (WINDOW * before) / baseline;
  const sigma = Math.sqrt(Math.max(expected, 1) * (1 + WINDOW / baseline));
  if (n < SPIKE_RATIO * expected || n <= expected + SPIKE_SIGMAS * sigma) return null;
  const critical = n >= CRITICAL_AT_LEAST && n >= CRITICAL_RATIO * expected;
  const countedAt = (minute: number) => {
    const at = awake.from(minute);
    return at === null || awake.from(minute + MINUTE) === at ? 0 : counts.sum(at, at);
  };
  const since = firstMinute(windowFrom(now), now, (minute) => countedAt(minute) > expected / WINDOW);
  const who = runtime_id === null ? 'other runtimes' : runtime_id === '-' ? 'nobody known' : runtime_id;
  const usual = expected < 0.05 ? 'none' : expected.toFixed(1);
  return {
    kind: 'deny_spike',
    severity: critical ? 'critical' : 'warning',
    since,
    message: `${reason} to ${who}: ${n} in ${WINDOW} minutes, ${usual} were expected (by the ${baseline} minutes with decisions before)`,
    facts: {
      runtime_id: runtime_id === '-' ? null : runtime_id,
      reason,
      count: n,
      expected: Math.round(expected * 10) / 10,
    },
    decisions: {
      ...(runtime_id === null || runtime_id === '-' ? {} : { runtime: runtime_id }),
      reason,
      verdict: 'deny',
      since,
    },
  };
}

/** The first minute that passes, as the time of its beginning. */
function firstMinute(from: number, to: number, passes: (at: number) => boolean): number {
  for (let at = from; at <= to; at += MINUTE) if (passes(at)) return Math.floor(at / MINUTE) * MINUTE;
  return Math.floor(from / MINUTE) * MINUTE;
}

function lagAlerts({ met, p50_ms, p99_ms, target, slowest }: LagSummary): Alert[] {
  if (met || slowest === null) return [];
  return [
    {
      kind: 'revocation_lag',
      severity: 'warning',
      since: slowest.at,
      message: `stops reach nodes in ${p50_ms} ms (p50) and ${p99_ms} ms (p99), not within ${target.p50_ms} and ${target.p99_ms} ms; the slowest was ${slowest.node}`,
      facts: { node: slowest.node, p50_ms, p99_ms, max_ms: slowest.ms },
      decisions: { reason: 'runtime_killed', verdict: 'deny', since: slowest.at },
    },
  ];
}

function staleAlert({ node, at, fresh_ms }: NodeSeen, now: number): Alert {
  return {
    kind: 'stale_node',
    severity: 'critical',
    since: at + fresh_ms,
    message: `node ${node} was last heard of ${Math.round((now - at) / 1000)} s ago: it denies what needs fresher state`,
    facts: { node, age_ms: now - at, fresh_ms },
    decisions: { reason: 'freshness_stale', verdict: 'deny', since: at },
  };
}

function twiceAlert({ node, since }: NodeTwice): Alert {
  return {
    kind: 'duplicate_node',
    severity: 'warning',
    since,
    message: `two processes bear the name ${node}: each is counted by itself, but people cannot tell them apart; give one another name`,
    facts: { node },
    decisions: { since },
  };
}

function lostAlerts(losses: Minutes, now: number): Alert[] {
  const count = losses.sum(now - HOUR, now);
  if (count === 0) return [];
  const since = firstMinute(now - HOUR, now, (minute) => losses.sum(minute, minute) > 0);
  return [
    {
      kind: 'records_lost',
      severity: 'critical',
      since,
      message: `${count} records were not written in the last hour; the chain says where (\`lost\`)`,
      facts: { count },
      decisions: { since },
    },
  ];
}

function legacyAlerts({ legacy }: TenantActivity, now: number): Alert[] {
  return [...legacy].flatMap(([runtime, counts]) => {
    const count = counts.sum(now - HOUR, now);
    if (count === 0) return [];
    const since = firstMinute(now - HOUR, now, (minute) => counts.sum(minute, minute) > 0);
    const known = runtime !== '-' && runtime !== 'other';
    const alert: Alert = {
      kind: 'legacy_token',
      severity: 'info',
      since,
      message: `${count} decisions about legacy tokens of ${known ? runtime : 'others'} in the last hour`,
      facts: { runtime_id: known ? runtime : null, count },
      decisions: { ...(known ? { runtime } : {}), since },
    };
    return [alert];
  });
}

/** Until no proof can be as old: those with a budget have to be issued anew, and nobody but an operator does that. */
function memoryAlerts(from: number | null, born: number, now: number): Alert[] {
  if (from === null) return [];
  const since = from * 1000;
  // What was there from the beginning has forgotten nothing.
  if (since - born <= MINUTE || now >= since + PROOF_TTL.most * 1000) return [];
  return [
    {
      kind: 'shared_memory_lost',
      severity: 'warning',
      since,
      message: `Redis remembers only since ${new Date(since).toISOString()}: budgets of proofs issued before are denied (budget_exhausted), since nobody knows what is left of them. Issue those proofs anew, with what is to be left`,
      facts: { known_from: from },
      decisions: { reason: 'budget_exhausted', verdict: 'deny', since },
    },
  ];
}

function uploadAlerts(upload: UploadState | null, now: number): Alert[] {
  if (upload?.failing_since === null || upload === null || now - upload.failing_since < MINUTE) return [];
  return [
    {
      kind: 'upload_behind',
      severity: 'warning',
      since: upload.failing_since,
      message: `the decision log is not taken by its receiver (${upload.error}): ${upload.behind} records wait`,
      facts: { behind: upload.behind, error: upload.error },
      decisions: { since: upload.failing_since },
    },
  ];
}

/** A commit that was rejected is told at once; a repository that cannot be read may come back within a minute. */
function sourceAlerts(trouble: PolicySourceTrouble | null, now: number): Alert[] {
  if (trouble === null) return [];
  const { since, commit, message } = trouble;
  if (commit === null && now - since < MINUTE) return [];
  const [first = ''] = message.split('\n', 1);
  const what =
    commit === null
      ? 'the repository of the policies cannot be read'
      : `commit ${commit.slice(0, 12)} of the policies is not in force`;
  return [
    {
      kind: 'policy_source',
      severity: 'warning',
      since,
      message: `${what}: ${first}`,
      facts: { commit },
      decisions: { since },
    },
  ];
}
