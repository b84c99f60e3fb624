import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { loadSync } from '@grpc/proto-loader';

const PROTO = fileURLToPath(new URL('otlp/trace.proto', import.meta.url));

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the root of a trace. */
  readonly parentId: string;
  readonly name: string;
  readonly kind: number;
  /** Nanoseconds since 1970. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** 0 unset, 1 ok, 2 error. */
  readonly status: number;
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface Post {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** As it came, unpacked. */
  readonly bytes: Buffer;
}

/** An OTLP/HTTP receiver of traces. */
export interface Collector {
  readonly endpoint: string;
  readonly posts: readonly Post[];
  readonly spans: readonly ReceivedSpan[];
  /** With which status it answers from now on; null: not at all. */
  answer(status: number | null): void;
  /** Resolves with the first span that fits, once it came. */
  span(fits: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan>;
  /** Resolves once a post has come that was not there yet. */
  posted(): Promise<unknown>;
  close(): Promise<void>;
}

export async function startCollector(): Promise<Collector> {
  const posts: Post[] = [];
  const spans: ReceivedSpan[] = [];
  let status: number | null = 200;
  const server = createServer(async (request, response) => {
    const packed = await buffer(request);
    const bytes = request.headers['content-encoding'] === 'gzip' ? gunzipSync(packed) : packed;
    posts.push({ path: request.url ?? '', headers: request.headers, bytes });
    if (status === 200) spans.push(...spansIn(bytes));
    server.emit('posted');
    if (status !== null) response.writeHead(status, { 'content-type': 'application/x-protobuf' }).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    posts,
    spans,
    answer(next) {
      status = next;
    },
    async span(fits) {
      for (;;) {
        const found = spans.find(fits);
        if (found !== undefined) return found;
        await once(server, 'posted');
      }
    },
    posted: () => once(server, 'posted'),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface Wire {
  readonly resource_spans: {
    readonly resource: { readonly attributes: Attribute[] };
    readonly scope_spans: { readonly spans: WireSpan[] }[];
  }[];
}

interface WireSpan {
  readonly trace_id: Buffer;
  readonly span_id: Buffer;
  readonly parent_span_id: Buffer;
  readonly name: string;
  readonly kind: number;
  readonly start_time_unix_nano: string;
  readonly end_time_unix_nano: string;
  readonly attributes: Attribute[];
  readonly status: { readonly code: number } | null;
}

const definition = loadSync(PROTO, { keepCase: true, longs: String, defaults: true });

function spansIn(bytes: Buffer): ReceivedSpan[] {
  const service = definition['opentelemetry.proto.collector.trace.v1.TraceService'];
  if (service === undefined || !('Export' in service)) throw new Error('no TraceService in trace.proto');
  const exporting = service.Export as { requestDeserialize(bytes: Buffer): object };
  const { resource_spans } = exporting.requestDeserialize(bytes) as Wire;
  return resource_spans.flatMap(({ resource, scope_spans }) =>
    scope_spans.flatMap(({ spans }) => spans.map((span) => spanOf(span, valuesOf(resource.attributes)))),
  );
}

function spanOf(span: WireSpan, resource: Record<string, unknown>): ReceivedSpan {
  return {
    traceId: span.trace_id.toString('hex'),
    spanId: span.span_id.toString('hex'),
    parentId: span.parent_span_id.toString('hex'),
    name: span.name,
    kind: span.kind,
    start: BigInt(span.start_time_unix_nano),
    end: BigInt(span.end_time_unix_nano),
    attributes: valuesOf(span.attributes),
    status: span.status?.code ?? 0,
    resource,
  };
}

function valuesOf(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
