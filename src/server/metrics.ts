import type { FastifyInstance } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { SharedStats } from '../feed/shared.ts';
import type { BundleRef, Decision, RecordBody } from '../schema/decision.ts';
import type { ShadowCounts } from '../schema/impact.ts';
import type { AuthzRequest } from '../schema/request.ts';
import type { SpanCounts } from './span-queue.ts';

interface NodeCounted {
  readonly leased_for_ms: number;
  readonly duplicate: boolean;
}

/** What is read at each scrape. */
export interface MetricsSources {
  readonly log: () => { readonly queued: number; readonly lost: number; readonly written: number };
  readonly gate: () => { readonly ready: boolean; readonly runtimes: number; readonly nonces: number };
  /** The active ones. */
  readonly bundles: () => readonly BundleRef[];
  /** Null, or absent: they come from no repository. */
  readonly policySource?: () => { readonly behind: boolean; readonly failing: object | null } | null;
  readonly storeWritable: () => boolean;
  /** Processes of decision nodes that follow this one; absent: none can. */
  readonly nodes?: () => readonly NodeCounted[];
  /** Null, or absent: nothing is counted over all nodes. */
  readonly shared?: (() => SharedStats) | null;
  /** Null, or absent: no traces are collected. */
  readonly traces?: (() => SpanCounts) | null;
  /** Absent: no policy can be shadowed here. */
  readonly shadow?: () => { readonly bundles: readonly BundleRef[]; readonly counts: ShadowCounts };
  readonly admission: () => {
    readonly running: number;
    readonly queued: number;
    readonly abandoned: number;
    readonly overloaded: number;
    readonly rate_limited: number;
  };
}

export interface Metrics {
  /** For `DecisionLog.onRecord`: counts the verdict and the time of each stage. */
  recorded(record: RecordBody): void;
  /** The same function, its duration measured by border. */
  timed<Rest extends unknown[]>(
    decide: (request: AuthzRequest, ...rest: Rest) => Promise<Decision>,
  ): (request: AuthzRequest, ...rest: Rest) => Promise<Decision>;
  /** One answer of what all nodes share, for as many requests as were asked about together. */
  sharedRoundTrip(ms: number): void;
  /** In the Prometheus text format. */
  expose(): Promise<{ readonly contentType: string; readonly text: string }>;
}

const MICROSECONDS = 1e6;
/** Without `log`: a record cannot know how long it will take to be written. */
const TIMED_STAGES = ['request', 'proof', 'gate', 'policy'] as const;
const DECISION_BUCKETS = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5];
const STAGE_BUCKETS = [0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 1];

export function createMetrics(sources: MetricsSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const decisions = new Counter({
    name: 'lemma_decisions_total',
    help: 'Decisions in the log, by their true verdict',
    labelNames: ['verdict', 'reason', 'border', 'profile'],
    registers,
  });
  const amended = new Counter({
    name: 'lemma_decisions_amended_total',
    help: 'Allows that a kill or revocation turned into denials before the answer left',
    labelNames: ['reason'],
    registers,
  });
  const legacy = new Counter({
    name: 'lemma_legacy_tokens_total',
    help: 'Uses of legacy tokens, and exchanges of proofs for them, by verdict',
    labelNames: ['event', 'verdict'],
    registers,
  });
  const durations = new Histogram({
    name: 'lemma_decision_duration_seconds',
    help: 'Time from a request to its decision, the record included where the answer waits for it',
    labelNames: ['border'],
    buckets: DECISION_BUCKETS,
    registers,
  });
  const stages = new Histogram({
    name: 'lemma_stage_duration_seconds',
    help: 'Time that a decision spent in each stage',
    labelNames: ['stage'],
    buckets: STAGE_BUCKETS,
    registers,
  });
  const timedStages = TIMED_STAGES.map((stage) => [stage, stages.labels({ stage })] as const);
  const roundTrips = sources.shared ? addShared(sources.shared, registers) : null;
  if (sources.traces) addSpans(sources.traces, registers);
  if (sources.shadow) addShadow(sources.shadow, registers);
  addGauges(sources, registers);
  collectDefaultMetrics({ register: registry });

  return {
    recorded(record) {
      if (record.amends) {
        amended.inc({ reason: record.reason });
        return;
      }
      const { verdict, reason, border, profile } = record;
      decisions.inc({ verdict, reason, border, profile: profile ?? 'none' }, record.requests ?? 1);
      if (record.token !== undefined || border === 'exchange')
        legacy.inc({ event: border === 'exchange' ? 'exchange' : 'use', verdict });
      if (record.requests !== undefined) return;
      for (const [stage, time] of timedStages) time.observe(record.took_us[stage] / MICROSECONDS);
    },
    timed:
      (decide) =>
      async (request, ...rest) => {
        const end = durations.startTimer({ border: request.border });
        try {
          return await decide(request, ...rest);
        } finally {
          end();
        }
      },
    sharedRoundTrip: (ms) => roundTrips?.observe(ms / 1000),
    expose: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}

/** Gives the histogram of its round trips. */
function addShared(shared: () => SharedStats, registers: Registry[]): Histogram {
  new Gauge({
    name: 'lemma_shared_up',
    help: '1 when nonces and budgets can be counted over all nodes',
    registers,
    collect() {
      this.set(Number(shared().up));
    },
  });
  const total = (name: string, help: string, read: () => number) => addTotal(name, help, read, registers);
  total('lemma_shared_asked_total', 'Requests with a nonce or a budget of all nodes', () => shared().asked);
  total(
    'lemma_shared_unavailable_total',
    'Requests that were denied since all nodes could not be asked in time',
    () => shared().unavailable,
  );
  total(
    'lemma_shared_leaked_total',
    'Operations that stay counted although their request was denied',
    () => shared().leaked,
  );
  new Counter({
    name: 'lemma_shared_forgotten_total',
    help: 'Requests that were denied since what all nodes share had lost its memory: of nonces, of budgets',
    labelNames: ['what'],
    registers,
    collect() {
      const { forgotten, uncounted } = shared();
      this.reset();
      this.inc({ what: 'nonce' }, forgotten);
      this.inc({ what: 'budget' }, uncounted);
    },
  });
  new Gauge({
    name: 'lemma_shared_known_from_seconds',
    help: 'Since when what all nodes share remembers (Unix time): budgets of proofs issued before are denied. 0: never reached',
    registers,
    collect() {
      this.set(shared().knownFrom ?? 0);
    },
  });
  return new Histogram({
    name: 'lemma_shared_round_trip_seconds',
    help: 'Time until all nodes were asked',
    buckets: STAGE_BUCKETS,
    registers,
  });
}

function addShadow(shadow: NonNullable<MetricsSources['shadow']>, registers: Registry[]): void {
  new Gauge({
    name: 'lemma_shadow_bundle_info',
    help: 'Policy bundles that are evaluated beside the active ones',
    labelNames: ['name', 'revision', 'sha256'],
    registers,
    collect() {
      this.reset();
      for (const { name, revision, sha256 } of shadow().bundles) this.set({ name, revision, sha256 }, 1);
    },
  });
  new Counter({
    name: 'lemma_shadow_decisions_total',
    help: 'Decisions by what a shadowed policy would have made of them; since it was named, or the start',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      const { dropped: _dropped, ...outcomes } = shadow().counts;
      for (const [outcome, count] of Object.entries(outcomes)) this.inc({ outcome }, count);
    },
  });
  addTotal(
    'lemma_shadow_dropped_total',
    'Decisions that no shadowed policy was asked about, as they came too fast',
    () => shadow().counts.dropped,
    registers,
  );
}

function addSpans(spans: () => SpanCounts, registers: Registry[]): void {
  new Counter({
    name: 'lemma_trace_spans_total',
    help: 'Spans that the collector took, that it did not take, and that found no place in the queue for it',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      const { queued: _queued, ...ended } = spans();
      for (const [outcome, count] of Object.entries(ended)) this.inc({ outcome }, count);
    },
  });
  new Gauge({
    name: 'lemma_trace_spans_queued',
    help: 'Spans that wait for the collector',
    registers,
    collect() {
      this.set(spans().queued);
    },
  });
}

/** `/metrics`, in Prometheus' text format. */
export function addMetrics(app: FastifyInstance, metrics: Pick<Metrics, 'expose'>): void {
  app.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await metrics.expose();
    return reply.type(contentType).send(text);
  });
}

function addGauges(sources: MetricsSources, registers: Registry[]): void {
  const gauge = (name: string, help: string, read: () => number | boolean) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(Number(read()));
      },
    });
  gauge('lemma_log_queue', 'Records that wait to be written', () => sources.log().queued);
  gauge('lemma_decisions_running', 'Decisions under way', () => sources.admission().running);
  gauge('lemma_decisions_queued', 'Requests that wait for their turn', () => sources.admission().queued);
  addTotal(
    'lemma_abandoned_total',
    'Requests whose caller had gone before their turn came',
    () => sources.admission().abandoned,
    registers,
  );
  new Counter({
    name: 'lemma_shed_total',
    help: 'Requests that were denied before they were looked at; in the log a second later',
    labelNames: ['reason'],
    registers,
    collect() {
      const { overloaded, rate_limited } = sources.admission();
      this.reset();
      this.inc({ reason: 'overloaded' }, overloaded);
      this.inc({ reason: 'rate_limited' }, rate_limited);
    },
  });
  gauge('lemma_gate_ready', '1 when the live state is loaded', () => sources.gate().ready);
  gauge('lemma_gate_runtimes', 'Registered runtimes in memory', () => sources.gate().runtimes);
  gauge('lemma_gate_nonces', 'Spent nonces in memory', () => sources.gate().nonces);
  const { nodes } = sources;
  if (nodes !== undefined) {
    const count = (of: (node: NodeCounted) => boolean) => nodes().filter(of).length;
    gauge('lemma_nodes_leased', 'Processes of decision nodes that may allow', () =>
      count(({ leased_for_ms }) => leased_for_ms > 0),
    );
    gauge('lemma_nodes_duplicate', 'Of those, processes whose name another one bears too', () =>
      count(({ duplicate }) => duplicate),
    );
  }
  const source = () => sources.policySource?.() ?? null;
  gauge(
    'lemma_policy_source_behind',
    '1 when the branch of the policies is at a commit that was rejected',
    () => source()?.behind ?? false,
  );
  gauge(
    'lemma_policy_source_failing',
    '1 when the repository of the policies cannot be read',
    () => (source()?.failing ?? null) !== null,
  );
  gauge('lemma_store_writable', '1 when the last write to the store succeeded', sources.storeWritable);
  addTotal('lemma_log_written_total', 'Records written', () => sources.log().written, registers);
  addTotal('lemma_log_lost_total', 'Records that were lost', () => sources.log().lost, registers);
  new Gauge({
    name: 'lemma_bundle_info',
    help: 'The active policy bundles',
    labelNames: ['name', 'revision', 'sha256'],
    registers,
    collect() {
      this.reset();
      for (const { name, revision, sha256 } of sources.bundles()) this.set({ name, revision, sha256 }, 1);
    },
  });
}

/** A count that is kept elsewhere and only ever grows. */
function addTotal(name: string, help: string, read: () => number, registers: Registry[]): void {
  new Counter({
    name,
    help,
    registers,
    collect() {
      this.reset();
      this.inc(read());
    },
  });
}
