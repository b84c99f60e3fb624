import { type Context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  createOtlpHttpExportDelegate,
  httpAgentFactoryFromOptions,
} from '@opentelemetry/otlp-exporter-base/node-http';
import { ProtobufTraceSerializer, TraceExporterMetricsHelper } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { DecisionTrace, Draft, Follow } from '../pdp/draft.ts';
import { statusOf } from '../reason.ts';
import type { Traces as Target } from '../schema/config.ts';
import type { AuthzRequest } from '../schema/request.ts';
import { createSpanQueue, type SpanCounts } from './span-queue.ts';

/**
 * OpenTelemetry traces: a span for each decision, and one below it for each stage that it came through. A span says what an
 * operator finds the record by, and nothing of who acts or what was asked for beyond the route: no header, no path, no
 * query, no body, no proof. Loaded only where it is configured.
 */

export interface TracesOptions {
  readonly target: Target;
  /** For the collector; asked before each post. May throw: then that post fails. */
  readonly headers: () => Record<string, string>;
  readonly about: {
    readonly node: string;
    readonly org: string;
    readonly env: string;
    readonly version: string;
  };
  readonly onState: (up: boolean, why: string) => void;
}

export interface Traces {
  readonly follow: Follow;
  stats(): SpanCounts;
  /** Sends what waits, for as long as the collector takes it. Idempotent. */
  close(): Promise<void>;
}

/** RFC 9110 and RFC 5789; another one's name would be a client's to choose. */
const METHODS: readonly string[] = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
];
const CLOSE_MS = 2000;
/** In their order; the record is written after them. */
const STAGES = ['request', 'proof', 'gate', 'policy'] as const;

export function createTraces({ target, headers, about, onState }: TracesOptions): Traces {
  const queue = createSpanQueue({
    exporter: exporterTo(target, headers),
    atMost: target.max_queue_size,
    onState,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': target.service_name,
      'service.namespace': about.org,
      'service.version': about.version,
      'service.instance.id': about.node,
      'deployment.environment.name': about.env,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(target.sampling_ratio) }),
    spanProcessors: [queue],
  });
  const tracer = provider.getTracer('lemma', about.version);
  let closed: Promise<void> | undefined;

  function begin(request: AuthzRequest, nowMs: number): DecisionTrace | null {
    const began = performance.now();
    const span = tracer.startSpan('decide', { kind: SpanKind.SERVER, startTime: nowMs }, asked(request));
    const { traceId } = span.spanContext();
    if (!span.isRecording()) return null;
    return {
      id: traceId,
      end(draft) {
        const endMs = nowMs + performance.now() - began;
        quietly(() => {
          describe(span, draft);
          addStages(span, draft, endMs);
          span.end(endMs);
        });
      },
    };
  }

  function addStages(parent: Span, { took, nowMs }: Draft, endMs: number): void {
    const below = trace.setSpan(ROOT_CONTEXT, parent);
    let at = nowMs;
    const stage = (name: string, until: number) => {
      tracer.startSpan(name, { startTime: at }, below).end(until);
      at = until;
    };
    for (const name of STAGES) if (took[name] > 0) stage(name, Math.min(at + took[name] / 1000, endMs));
    stage('log', endMs);
  }

  return {
    follow: (request, nowMs) => quietly(() => begin(request, nowMs)) ?? null,
    stats: queue.counts,
    close() {
      closed ??= within(CLOSE_MS, provider.shutdown());
      return closed;
    },
  };
}

/** A collector that is away must not hold up an orderly end either. */
async function within(ms: number, done: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await Promise.race([done, over]);
  } finally {
    clearTimeout(timer);
  }
}

/** A trace that goes wrong must not change a decision. */
function quietly<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}

function asked({ traceId, parentSpan }: AuthzRequest): Context {
  if (traceId === null || parentSpan === undefined) return ROOT_CONTEXT;
  const { id: spanId, sampled } = parentSpan;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: Number(sampled), isRemote: true });
}

function describe(span: Span, draft: Draft): void {
  const { request, routed, verdict, reason, profile, bundle, observed } = draft;
  const { method, border } = request;
  if (routed !== null) span.updateName(`decide ${routed.route.id}`);
  span.setAttributes({
    'http.request.method': METHODS.includes(method) ? method : '_OTHER',
    ...(routed === null ? {} : { 'http.route': routed.route.path, 'server.address': routed.route.host }),
    'lemma.decision_id': draft.id,
    'lemma.border': border,
    'lemma.verdict': verdict,
    'lemma.reason': reason,
    'lemma.stage': draft.stage,
    ...(observed ? { 'lemma.observed': true } : {}),
    ...(routed === null ? {} : { 'lemma.route': routed.route.id }),
    ...(profile === null ? {} : { 'lemma.profile': profile }),
    ...(bundle === null
      ? {}
      : { 'lemma.bundle.name': bundle.name, 'lemma.bundle.revision': bundle.revision }),
  });
  // A denial is an answer. What could not be answered is an error.
  if (draft.failed === null || statusOf(draft.failed.check).http < 500) return;
  span.setAttribute('error.type', reason);
  span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
}

/** OTLP over HTTP in its binary form, from what is configured alone: the SDK's ready-made exporter reads OTEL_… variables too. */
function exporterTo({ url, timeout_ms }: Target, headers: () => Record<string, string>): SpanExporter {
  const delegate = createOtlpHttpExportDelegate(
    {
      url,
      headers: async () => ({ ...headers(), 'content-type': 'application/x-protobuf' }),
      timeoutMillis: timeout_ms,
      // One at a time; the one before is forgotten a turn after it was answered.
      concurrencyLimit: 2,
      compression: 'gzip',
      agentFactory: httpAgentFactoryFromOptions({ keepAlive: true }),
    },
    ProtobufTraceSerializer,
    'otlp_http_span_exporter',
    TraceExporterMetricsHelper,
    undefined,
  );
  return {
    export: (spans, done) => delegate.export(spans, done),
    forceFlush: () => delegate.forceFlush(),
    shutdown: () => delegate.shutdown(),
  };
}
