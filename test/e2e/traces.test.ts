import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import { startEnvoy } from '../../tools/envoy/envoy.ts';
import { emptyFolder } from '../cli/lemma.ts';
import { type Collector, type ReceivedSpan, startCollector } from '../support/collector.ts';
import { send } from '../support/envoy-client.ts';
import { lemmaConfig, needEnvoy, portOf } from '../support/envoy-scene.ts';
import { startUpstream } from '../support/envoy-upstream.ts';
import { bearing, chain, keys, NOW, proving, request } from '../support/kit.ts';
import { nodeProcess } from '../support/node-process.ts';
import { type Running, running } from '../support/running.ts';
import { serving } from '../support/serving.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const asking = (flags = '01', trace = TRACE) => ['traceparent', `00-${trace}-${SPAN}-${flags}`] as const;
/** `SPAN_KIND_SERVER` */
const SERVER = 2;
const of = (decisionId: string) => (span: ReceivedSpan) =>
  span.attributes['lemma.decision_id'] === decisionId;

async function metric(service: Running, name: string): Promise<number> {
  const text = await (await fetch(`http://${service.app.addresses.control}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.split(' ').at(-1));
}

async function recordOf(service: Running, id: string): Promise<DecisionRecord | undefined> {
  return (await service.records()).records.find(({ decision_id }) => decision_id === id);
}

describe('OpenTelemetry traces', () => {
  let collector: Collector;
  let service: Running;
  before(async () => {
    collector = await startCollector();
    const traces = { endpoint: `${collector.endpoint}/`, service_name: 'authz' };
    service = await running({ config: { telemetry: { traces } } });
  });
  after(async () => {
    await service.stop();
    await collector.close();
  });

  /** The span of a decision over gRPC, with the request's headers. */
  const plain = () => {
    first ??= traced();
    return first;
  };
  let first: ReturnType<typeof traced> | undefined;
  async function traced(...headers: (readonly [string, string])[]) {
    const { decisionId, verdict } = await service.grpc(bearing(chain(), { headers }));
    return { decisionId, verdict, span: await collector.span(of(decisionId)) };
  }

  it('go to <endpoint>/v1/traces, in protobuf', async () => {
    await plain();
    const { path, headers } = collector.posts[0] ?? { path: '', headers: {} };
    deepEqual([path, headers['content-type']], ['/v1/traces', 'application/x-protobuf']);
  });

  it('say what decided, by what, and how: nothing else', async () => {
    const { span, decisionId } = await plain();
    const record = await recordOf(service, decisionId);
    deepEqual(span.attributes, {
      'http.request.method': 'GET',
      'http.route': '/v1/documents/{id}',
      'server.address': 'api.example.com',
      'lemma.decision_id': decisionId,
      'lemma.border': 'grpc',
      'lemma.verdict': 'allow',
      'lemma.reason': 'allowed',
      'lemma.stage': 'policy',
      'lemma.route': 'documents.read',
      'lemma.profile': 'low',
      'lemma.bundle.name': 'low',
      'lemma.bundle.revision': record?.bundle?.revision,
    });
    deepEqual([span.name, span.kind, span.status], ['decide documents.read', SERVER, 0]);
  });

  it('name the service, its version, node and place', async () => {
    const { span, decisionId } = await plain();
    const { 'service.version': version, ...resource } = span.resource;
    deepEqual(resource, {
      'service.name': 'authz',
      'service.namespace': 'acme',
      'service.instance.id': (await recordOf(service, decisionId))?.node,
      'deployment.environment.name': 'prod',
    });
    match(String(version), /^\d+\.\d+\.\d+/);
  });

  it("take the proxied request's traceparent as the parent", async () => {
    const { span } = await traced(asking());
    deepEqual([span.traceId, span.parentId], [TRACE, SPAN]);
  });

  it('begin a trace where none came, whose id the record keeps', async () => {
    const { span, decisionId } = await plain();
    match(span.traceId, /^[0-9a-f]{32}$/);
    equal(span.parentId, '');
    equal((await recordOf(service, decisionId))?.trace_id, span.traceId);
  });

  it('begin a trace where two lines of traceparent came', async () => {
    const { span } = await traced(asking(), asking('01', TRACE.replace('4', '5')));
    equal(span.parentId, '');
  });

  it('have a span for each stage, one after the other, by the times of the record', async () => {
    const { span, decisionId } = await plain();
    const took = (await recordOf(service, decisionId))?.took_us;
    const stages = collector.spans.filter(({ parentId }) => parentId === span.spanId);
    deepEqual(
      stages.map(({ name }) => name).filter((name) => name !== 'gate'),
      ['request', 'proof', 'policy', 'log'],
    );
    for (const name of ['request', 'proof', 'policy'] as const) {
      const stage = stages.find((one) => one.name === name);
      const us = Number((stage?.end ?? 0n) - (stage?.start ?? 0n)) / 1000;
      // Milliseconds since 1970 in a double: a quarter of a microsecond.
      ok(Math.abs(us - (took?.[name] ?? 0)) <= 1, `${name}: ${us} and ${took?.[name]}`);
    }
    const ends = stages.map(({ end }) => end);
    deepEqual(
      stages.map(({ start }) => start),
      [span.start, ...ends.slice(0, -1)],
    );
    equal(ends.at(-1), span.end);
    equal(span.start, BigInt(NOW) * 1_000_000_000n);
  });

  it('call a denial no error', async () => {
    const { decisionId } = await service.grpc(request());
    const { attributes, status } = await collector.span(of(decisionId));
    deepEqual([attributes['lemma.reason'], status], ['auth_required', 0]);
  });

  it('tell no name that a client made up', async () => {
    const { decisionId } = await service.grpc(request({ method: 'EVIL', path: '/evil', host: 'evil' }));
    const { attributes, name } = await collector.span(of(decisionId));
    deepEqual([attributes['http.request.method'], name], ['_OTHER', 'decide']);
  });

  it('hold nothing of the request: no proof, header, path, query, body, or who acts', async () => {
    const secret = 'c4f3b4b3';
    const wire = proving(chain(), keys.runtime, {
      method: 'PUT',
      path: `/v1/documents/${secret}?key=${secret}`,
      text: `{"secret":"${secret}"}`,
    });
    const { decisionId } = await service.grpc({ ...wire, headers: [...wire.headers, ['cookie', secret]] });
    await collector.span(of(decisionId));
    const sent = Buffer.concat(collector.posts.map(({ bytes }) => bytes)).toString('latin1');
    // A short one, the body's length, may stand among random bytes.
    const values = wire.headers.map(([, value]) => value).filter((value) => value.length > 8);
    const hidden = [secret, 'bot-1', 'did:lemma', ...values];
    deepEqual(
      hidden.filter((text) => sent.includes(text)),
      [],
    );
  });

  describe('over REST', () => {
    const posted = async (path: string, body: object, headers: Record<string, string> = {}) => {
      const answer = await fetch(`http://${service.app.addresses.decision}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
      return (await answer.json()) as Record<string, unknown>;
    };
    const [name, value] = asking();
    const AUTHORIZE = '/api/wallet/runtimes/bot-1/authorize';
    const ask = { method: 'GET', url: 'https://api.example.com/v1/documents/1' };

    it("authorize takes its own request's traceparent", async () => {
      const body = await posted(AUTHORIZE, ask, { [name]: value });
      const { traceId, parentId } = await collector.span(of(String(body.decision_id)));
      deepEqual([traceId, parentId], [TRACE, SPAN]);
    });

    it('authorize prefers that of the request that is described', async () => {
      const other = '0'.repeat(31).concat('7');
      const described = { ...ask, headers: { traceparent: asking('01', other)[1] } };
      const body = await posted(AUTHORIZE, described, { [name]: value });
      equal((await collector.span(of(String(body.decision_id)))).traceId, other);
    });

    it("AuthZEN takes its own request's", async () => {
      const body = await posted(
        '/access/v1/evaluation',
        {
          subject: { type: 'runtime', id: 'bot-1' },
          action: { name: 'documents.read' },
          resource: { type: 'document', id: '1' },
        },
        { [name]: value },
      );
      const { decision_id } = body.context as { decision_id: string };
      const { traceId, attributes } = await collector.span(of(decision_id));
      deepEqual([traceId, attributes['lemma.border']], [TRACE, 'authzen']);
    });

    it("forward-auth takes the client's, as the proxy passes it on", async () => {
      const answer = await fetch(`http://${service.app.addresses.decision}/forward-auth/traefik`, {
        headers: {
          'x-forwarded-method': 'GET',
          'x-forwarded-uri': '/v1/documents/1',
          'x-forwarded-host': 'api.example.com',
          'x-forwarded-proto': 'https',
          [name]: value,
        },
      });
      const { decision_id } = (await answer.json()) as { decision_id: string };
      const { traceId, attributes } = await collector.span(of(decision_id));
      deepEqual([traceId, attributes['lemma.border']], [TRACE, 'forward-auth']);
    });
  });

  it('cannot be changed by a reload, which says so', async () => {
    const traces = { endpoint: 'http://127.0.0.1:1' };
    await service.reload({ telemetry: { traces } }).then(
      () => ok(false, 'it was taken'),
      (error: Error) => match(error.message, /^telemetry: takes effect at a restart only/),
    );
  });
});

describe('sampling of traces', () => {
  let collector: Collector;
  let service: Running;
  before(async () => {
    collector = await startCollector();
    const traces = { endpoint: collector.endpoint, sampling_ratio: 0 };
    service = await running({ config: { telemetry: { traces } } });
  });
  after(() => collector.close());

  it('leaves out what begins here by the ratio, and what the caller does not record; takes what it does', async () => {
    const plain = await service.grpc(bearing(chain()));
    await service.grpc(bearing(chain(), { headers: [asking('00')] }));
    const recorded = await service.grpc(bearing(chain(), { headers: [asking('01')] }));
    const records = await service.records();
    await service.stop();
    const decisions = collector.spans.filter(({ name }) => name.startsWith('decide'));
    deepEqual(
      decisions.map(({ attributes }) => attributes['lemma.decision_id']),
      [recorded.decisionId],
    );
    const unsampled = records.records.find(({ decision_id }) => decision_id === plain.decisionId);
    equal(unsampled?.trace_id, null);
  });
});

describe('a collector that is away, or refuses', () => {
  const atMost = 10;
  const withTraces = (endpoint: string) => ({
    telemetry: { traces: { endpoint, max_queue_size: atMost, timeout_seconds: 1 } },
  });

  it('changes no verdict; what finds no place in the queue is dropped, and counted', async () => {
    const gone = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => gone.once('listening', resolve));
    const { port } = gone.address() as AddressInfo;
    await new Promise((resolve) => gone.close(resolve));
    const service = await running({ config: withTraces(`http://127.0.0.1:${port}`) });
    try {
      for (let i = 0; i < 10; i += 1) equal((await service.grpc(bearing(chain()))).verdict, 'allow');
      const total = async () => {
        const [dropped, queued, failed] = await Promise.all([
          metric(service, 'lemma_trace_spans_total{outcome="dropped"}'),
          metric(service, 'lemma_trace_spans_queued'),
          metric(service, 'lemma_trace_spans_total{outcome="failed"}'),
        ]);
        ok(dropped >= 10 && queued <= atMost, `${dropped} dropped, ${queued} queued`);
        return dropped + queued + failed;
      };
      // Four stages at least for each decision, and itself: none is uncounted but those under way.
      ok((await total()) >= 40);
    } finally {
      await service.stop();
    }
    equal(service.logged.filter((line) => line.includes('the collector takes no traces')).length, 1);
  });

  it('is told of once, and again when it is back', async () => {
    const collector = await startCollector();
    const service = await running({ config: withTraces(collector.endpoint) });
    const notes = () =>
      service.logged.filter((line) => line.includes('the collector')).map((line) => JSON.parse(line).level);
    try {
      collector.answer(400);
      for (let i = 0; i < 2; i += 1) {
        const came = collector.posted();
        await service.grpc(bearing(chain()));
        await came;
      }
      collector.answer(200);
      const { decisionId } = await service.grpc(bearing(chain()));
      await collector.span(of(decisionId));
      await service.stop();
      deepEqual(notes(), [40, 30]);
    } finally {
      await service.stop();
      await collector.close();
    }
  });
});

describe('headers for the collector', () => {
  let folder: ReturnType<typeof emptyFolder>;
  let collector: Collector;
  before(async () => {
    folder = emptyFolder();
    collector = await startCollector();
  });
  after(async () => {
    await collector.close();
    folder.remove();
  });

  it('come from a private file, and are never logged', async () => {
    const file = join(folder.path, 'headers');
    writeFileSync(file, 'authorization: Bearer s3cret\n\nX-Scope-OrgID: acme\n');
    chmodSync(file, 0o600);
    const traces = { endpoint: collector.endpoint, headers_file: file };
    const service = await running({ config: { telemetry: { traces } } });
    await service.grpc(bearing(chain()));
    await service.stop();
    const headers = collector.posts[0]?.headers;
    deepEqual([headers?.authorization, headers?.['x-scope-orgid']], ['Bearer s3cret', 'acme']);
    ok(!service.logged.some((line) => line.includes('s3cret')));
  });
});

describe('a file of headers for the collector that cannot be used', () => {
  it('is named in the log, with its mend and without what is in it; decisions go on', async () => {
    const folder = emptyFolder();
    const file = join(folder.path, 'headers');
    writeFileSync(file, 'authorization Bearer s3cret\n', { mode: 0o600 });
    const collector = await startCollector();
    const traces = { endpoint: collector.endpoint, headers_file: file };
    const service = await running({ config: { telemetry: { traces } } });
    equal((await service.grpc(bearing(chain()))).verdict, 'allow');
    await service.stop();
    await collector.close();
    folder.remove();
    const [note = ''] = service.logged.filter((line) => line.includes('takes no traces'));
    ok(note.includes('headers:1: must be `name: value`') && !note.includes('s3cret'), note);
    equal(collector.posts.length, 0);
  });
});

describe('start-up', () => {
  let folder: ReturnType<typeof emptyFolder>;
  beforeEach(() => {
    folder = emptyFolder();
  });
  afterEach(() => folder.remove());

  /** Modules of ours for traces, and of OpenTelemetry's, that a service has loaded when it is up; its api is prom-client's too. */
  async function loaded(env: Record<string, string>): Promise<string[]> {
    const watch = `import { registerHooks } from 'node:module';
      registerHooks({ resolve(name, context, next) {
        const found = next(name, context);
        if (/opentelemetry\\/(?!api\\/)|server\\/traces/.test(found.url)) console.error('LOADED ' + found.url);
        return found;
      } });`;
    const listen = ['--listen-grpc', '--listen-decision', '--listen-control'];
    const child = spawn(
      process.execPath,
      [
        ...['--import', `data:text/javascript,${encodeURIComponent(watch)}`, MAIN, 'serve', '--json'],
        ...listen.flatMap((flag) => [flag, '127.0.0.1:0']),
      ],
      { cwd: folder.path, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const said = text(child.stderr);
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    const lines = (await said).split('\n');
    equal(child.exitCode ?? (await once(child, 'close'))[0], 0, lines.join('\n'));
    return lines.filter((line) => line.startsWith('LOADED'));
  }

  it('loads nothing for traces where none are configured', async () => deepEqual(await loaded({}), []));

  it('reads no OTEL_ variable', async () =>
    deepEqual(
      await loaded({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_TRACES_EXPORTER: 'otlp' }),
      [],
    ));

  it('loads it where a variable of ours configures them', async () =>
    ok((await loaded({ LEMMA_TELEMETRY_TRACES_ENDPOINT: 'http://127.0.0.1:1' })).length > 5));
});

describe('traces of a decision node', () => {
  it('name the node', async () => {
    const folder = emptyFolder();
    const collector = await startCollector();
    const plane = await serving(folder.path);
    const { body } = await plane.control('/api/wallet/keys');
    const keyList = body.keys as { use: string; kid: string }[];
    const node = await nodeProcess({
      folder: folder.path,
      name: 'edge-1',
      control: plane.controlBase,
      token: plane.operatorKey,
      pin: keyList.find(({ use }) => use === 'authority')?.kid ?? '',
      collector: collector.endpoint,
    });
    try {
      const { decisionId } = await node.ask(request());
      equal((await collector.span(of(decisionId))).resource['service.instance.id'], 'edge-1');
    } finally {
      await node.end();
      await plane.end('SIGTERM');
      await collector.close();
      folder.remove();
    }
  });
});

describe('traces through a real Envoy', () => {
  it("have the client's span as parent, and the id that the upstream sees", async function () {
    const binary = await needEnvoy(this);
    const collector = await startCollector();
    const upstream = await startUpstream();
    const config = {
      ...lemmaConfig(['127.0.0.1:0']),
      telemetry: { traces: { endpoint: collector.endpoint } },
    };
    const service = await running({ config });
    const envoy = await startEnvoy(binary, { lemma: portOf(service), upstream: upstream.port });
    try {
      equal((await send(envoy.port, bearing(chain(), { headers: [asking()] }))).status, 200);
      const span = await collector.span(({ kind }) => kind === SERVER);
      const headers = new Map(upstream.seen[0]?.headers);
      deepEqual(
        [span.parentId, headers.get('traceparent'), headers.get('x-lemma-decision-id')],
        [SPAN, asking()[1], span.attributes['lemma.decision_id']],
      );
    } finally {
      await envoy.stop();
      await service.stop();
      await upstream.close();
      await collector.close();
    }
  });
});
