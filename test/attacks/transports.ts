import { FORWARD_AUTH_PROXIES, type ForwardAuthProxy } from '../../src/request/forward-auth.ts';
import { HTTP_SAMPLE_CONFIG, startEnvoy } from '../../tools/envoy/envoy.ts';
import { PROXIES } from '../../tools/proxy/proxies.ts';
import type { RunningProxy } from '../../tools/proxy/start.ts';
import { sendRaw } from '../support/envoy-client.ts';
import { needEnvoy, needPart, portOf } from '../support/envoy-scene.ts';
import { startUpstream, type Upstream } from '../support/envoy-upstream.ts';
import { askForwardAuth, decisionPort, unaskable } from '../support/forward-auth.ts';
import { ORIGIN, type Place, type WireRequest } from '../support/kit.ts';
import { type Running, running, type Verdict, vectors } from '../support/running.ts';
import { type Difference, ENVOY, ENVOY_OVER_HTTP, FIREWALL, FORWARD_AUTH, NGINX } from './differences.ts';

/**
 * What became of a request: `allow`, Lemma's code, `refused: <status>` by the transport itself, with nothing decided,
 * or why it could not be sent at all.
 */
export interface Outcome {
  readonly verdict: string;
  /** Null where no request was sent. */
  readonly http: number | null;
  /** Whether the upstream heard of it. Null where the transport has none. */
  readonly reached: boolean | null;
}

/** A service that is asked in one way. */
export interface Stage {
  /** Where its requests go; the API's own place by default. */
  readonly place?: Place;
  ask(request: WireRequest): Promise<Outcome>;
  control: Running['control'];
  close(): Promise<void>;
}

export interface Transport {
  readonly name: string;
  /** Why the recorded vectors can't be sent here; null where they can. */
  readonly vectors: string | null;
  /** Skips the tests, aloud, where an outside part is missing. */
  open(context: Mocha.Context): Promise<Stage>;
  /** By the attack's name: what becomes of it here instead, and why that is right. */
  readonly differences: Readonly<Record<string, Difference>>;
  /** Lemma is asked over forward-auth: its denials are 401 or 403. */
  readonly forwardAuth?: true;
}

/** Runtimes of their own for what ends or taints one. */
export const PLAYERS = ['to-kill', 'to-revoke', 'to-rekey', 'to-taint', 'to-spend', 'to-race'] as const;

const [known] = vectors.runtimes as object[];
const runtimes = [known, ...PLAYERS.map((runtime_id) => ({ ...known, runtime_id }))];
const page = {
  id: 'documents.page',
  host: 'api.example.com',
  path: '/v1/pages/{id}',
  methods: ['GET'],
  api: 'documents',
  action: 'documents.read',
  scope: ['documents.read'],
  audience: ORIGIN,
  risk: 'low',
  body: 'none',
  taint_on_response: true,
};
const config = { runtimes, routes: [...(vectors.routes as object[]), page] };

/** Every way to ask. Another one is a member of this list, with what it reads differently. */
export const TRANSPORTS: readonly Transport[] = [
  { name: 'gRPC', vectors: null, open: () => asked('grpc'), differences: {} },
  { name: 'REST mirror', vectors: null, open: () => asked('rest'), differences: {} },
  {
    name: 'Envoy',
    vectors: null,
    open: async (context) => behindEnvoy(await needEnvoy(context)),
    differences: ENVOY,
  },
  ...FORWARD_AUTH_PROXIES.map(
    (proxy): Transport => ({
      name: `forward-auth as ${proxy} asks`,
      vectors: null,
      open: () => askedAs(proxy),
      differences: FORWARD_AUTH[proxy],
      forwardAuth: true,
    }),
  ),
  {
    name: 'Envoy over HTTP',
    vectors: null,
    open: async (context) => behindEnvoyOverHttp(await needEnvoy(context)),
    differences: ENVOY_OVER_HTTP,
    forwardAuth: true,
  },
  {
    name: 'nginx',
    vectors: null,
    open: async (context) => behindNginx(await needPart(context, 'nginx', PROXIES.nginx.install)),
    differences: NGINX,
    forwardAuth: true,
  },
  {
    name: 'firewall',
    vectors: 'recorded for another origin, and signed for another address, than a firewall of a test has',
    open: throughFirewall,
    differences: FIREWALL,
  },
];

async function asked(border: 'grpc' | 'rest'): Promise<Stage> {
  const service = await running({ config });
  return {
    ask: async (request) => ofVerdict(await service[border](request)),
    control: service.control,
    close: service.stop,
  };
}

function ofVerdict({ verdict, http }: Verdict): Outcome {
  return { verdict, http, reached: null };
}

async function askedAs(proxy: ForwardAuthProxy): Promise<Stage> {
  const service = await running({ config });
  return {
    async ask(request) {
      const hindrance = unaskable(proxy, request);
      if (hindrance !== null) return { verdict: `not sent: ${hindrance}`, http: null, reached: null };
      const { status, code } = await askForwardAuth(service, proxy, request);
      const verdict = code ?? `refused: ${status}`;
      return { verdict, http: status, reached: null };
    },
    control: service.control,
    close: service.stop,
  };
}

function behindEnvoy(binary: string): Promise<Stage> {
  return behind((service, upstream) => startEnvoy(binary, { lemma: portOf(service), upstream }));
}

function behindEnvoyOverHttp(binary: string): Promise<Stage> {
  return behind((service, upstream) =>
    startEnvoy(binary, { lemma: decisionPort(service), upstream }, HTTP_SAMPLE_CONFIG),
  );
}

function behindNginx(binary: string): Promise<Stage> {
  return behind((service, upstream) =>
    PROXIES.nginx.start(binary, { lemma: decisionPort(service), upstream }),
  );
}

/** A real proxy between the client and an upstream, whose port it is told. */
async function behind(start: (service: Running, upstream: number) => Promise<RunningProxy>): Promise<Stage> {
  const upstream = await startUpstream();
  const service = await running({ config });
  const proxy = await start(service, upstream.port);
  return {
    ask: (request) => overSocket(proxy.port, request, upstream),
    control: service.control,
    async close() {
      await proxy.stop();
      await service.stop();
      await upstream.close();
    },
  };
}

/** The api by the path, then by the method: to write is of high risk, to purge of critical, all else of low. */
function apiOf({ method, path }: Pick<WireRequest, 'method' | 'path'>): string {
  if (path.startsWith('/v1/pages/')) return 'pages';
  if (path.startsWith('/v1/purge/')) return 'purge';
  return method === 'PUT' || method === 'POST' ? 'write' : 'read';
}

async function throughFirewall(): Promise<Stage> {
  const upstream = await startUpstream();
  const api = { base_url: upstream.origin, path_prefixes: ['/v1/documents'], taint_on_response: false };
  const reading = { ...api, methods: ['GET', 'HEAD'], scope: ['documents.read'], risk: 'low' };
  const writing = { ...api, methods: ['PUT', 'POST'], scope: ['documents.write'], risk: 'high' };
  const purging = { ...writing, path_prefixes: ['/v1/purge'], scope: ['documents.admin'], risk: 'critical' };
  const pages = { ...reading, path_prefixes: ['/v1/pages'], taint_on_response: true };
  const apis = [
    { ...reading, id: 'read', action: 'documents.read' },
    { ...writing, id: 'write', action: 'documents.write', body: 'digest' },
    { ...purging, id: 'purge', action: 'documents.admin', body: 'json' },
    { ...pages, id: 'pages', action: 'documents.read' },
  ];
  const service = await running({ config: { ...config, firewall: { listen: '127.0.0.1:0', apis } } });
  const host = service.app.addresses.firewall ?? '';
  const sent = (request: WireRequest): WireRequest => ({
    ...request,
    scheme: 'http',
    host: request.host === 'api.example.com' ? host : request.host,
    path: `/firewall/${apiOf(request)}${request.path}`,
  });
  return {
    place: {
      origin: upstream.origin,
      signed: (request) => `http://${host}${sent(request).path}`,
    },
    ask: (request) => overSocket(Number(host.split(':')[1]), sent(request), upstream),
    control: service.control,
    async close() {
      await service.stop();
      await upstream.close();
    },
  };
}

/** Sends the request byte for byte as HTTP/1.1, on a connection of its own. */
async function overSocket(port: number, request: WireRequest, upstream: Upstream): Promise<Outcome> {
  const hindrance = unsendable(request);
  if (hindrance !== null) return { verdict: `not sent: ${hindrance}`, http: null, reached: null };
  // Requests that race are told apart by a header that no decision reads.
  const mark = `mark-${++marks}`;
  const { statuses, text } = await sendRaw(port, bytesOf(request, mark));
  const reached = upstream.seen.some((seen) => seen.headers.some(([, value]) => value === mark));
  const http = statuses[0] ?? 0;
  const { error, decision_id } = jsonIn(text);
  if (http === 200 && reached) return { verdict: 'allow', http, reached };
  const decided = typeof error === 'string' && decision_id !== undefined;
  return { verdict: decided ? error : `refused: ${http === 0 ? 'closed' : http}`, http, reached };
}

let marks = 0;

/** What HTTP/1.1 has no way to say, or null. */
function unsendable({ method, path, host, headers, body }: WireRequest): string | null {
  const text = [method, path, host, ...headers.flat()].join('');
  if (/[\r\n\0]/.test(text)) return 'a line end or NUL ends a field';
  if (headers.some(([name]) => name.startsWith(':'))) return 'a pseudo-header';
  if (headers.some(([name]) => name.toLowerCase() === 'host')) return 'a second reading of the host';
  const length = headers.find(([name]) => name.toLowerCase() === 'content-length')?.[1];
  const bytes = body === undefined || body === null ? 0 : Buffer.from(body, 'base64url').length;
  if (length !== undefined && Number(length) !== bytes) return 'a body that never ends';
  return null;
}

/** latin1. A body without a length gets one. */
function bytesOf({ method, path, host, headers, body }: WireRequest, mark: string): string {
  const bytes = Buffer.from(body ?? '', 'base64url').toString('latin1');
  const framed = headers.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name));
  const chunked = headers.some(([name]) => /^transfer-encoding$/i.test(name));
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${host}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(bytes === '' || framed ? [] : [`Content-Length: ${bytes.length}`]),
    `User-Agent: ${mark}`,
    'Connection: close',
  ];
  return `${lines.join('\r\n')}\r\n\r\n${chunked ? '0\r\n\r\n' : bytes}`;
}

function jsonIn(answer: string): { error?: unknown; decision_id?: unknown } {
  const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
  try {
    return JSON.parse(body) as { error?: unknown; decision_id?: unknown };
  } catch {
    return {};
  }
}
