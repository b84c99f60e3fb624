import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http';
import { type AddressInfo, createServer as createTcp, type Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Firewall, type FirewallOptions, startFirewall } from '../../src/firewall/firewall.ts';
import type { FirewallApi, FirewallProxy } from '../../src/schema/config.ts';
import type { Decision } from '../../src/schema/decision.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import { allowed } from '../support/envoy.ts';

export function api(changes: Partial<FirewallApi> = {}): FirewallApi {
  return {
    id: 'docs',
    base_url: 'http://127.0.0.1:1',
    methods: ['GET', 'POST'],
    path_prefixes: ['/'],
    scope: ['docs.read'],
    risk: 'low',
    action: 'docs.use',
    taint_on_response: false,
    body: 'none',
    forward_headers: null,
    allow_private: false,
    upgrade: 'deny',
    inject: null,
    ...changes,
  };
}

export function proxy(changes: Partial<FirewallProxy> = {}): FirewallProxy {
  return {
    allow: [],
    scope: [],
    risk: 'low',
    action: 'proxy.connect',
    audience: null,
    taint_on_response: false,
    allow_private: false,
    credential_file: null,
    ...changes,
  };
}

/** What an upstream received. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Upstream {
  readonly url: string;
  readonly server: Server;
  readonly seen: Seen[];
}

const closers: (() => Promise<void>)[] = [];

/** Ends whatever a test has started. */
export async function stopAll(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

/** A real upstream. Without a listener of its own it reads the body and says `ok`. */
export async function startUpstream(listener?: RequestListener): Promise<Upstream> {
  const seen: Seen[] = [];
  const server = createServer(
    listener ??
      (async (request, response) => {
        seen.push(await seenOf(request));
        response.end('ok');
      }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((done) => server.close(done));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, seen };
}

/** An upstream that speaks WebSocket and sends back what it hears. */
export async function startEchoing() {
  const upstream = await startUpstream();
  const sockets = new WebSocketServer({ server: upstream.server });
  const handshakes: IncomingMessage[] = [];
  const peers: WebSocket[] = [];
  sockets.on('connection', (peer, request) => {
    handshakes.push(request);
    peers.push(peer.on('error', () => undefined));
    peer.on('message', (data, binary) => peer.send(data, { binary }));
  });
  return { ...upstream, handshakes, peers };
}

/** A server for tunnels: it sends back what it gets, byte for byte. */
export async function startEcho(): Promise<{ readonly port: number; readonly connections: Socket[] }> {
  const connections: Socket[] = [];
  const server = createTcp({ allowHalfOpen: true }, (socket) => {
    connections.push(socket);
    socket.on('error', () => undefined).pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(async () => {
    for (const socket of connections) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, connections };
}

async function seenOf(request: IncomingMessage): Promise<Seen> {
  const { method = '', url = '', rawHeaders, headers } = request;
  return { method, url, rawHeaders, headers, body: (await bytesOf(request)).toString() };
}

export interface Running {
  readonly firewall: Firewall;
  readonly port: number;
  /** What was decided on. */
  readonly decided: AuthzRequest[];
  /** Facts of what was logged as an error. */
  readonly errors: object[];
}

export type Scripted = Partial<Omit<FirewallOptions, 'decide' | 'apis'>> & {
  readonly decide?: (request: AuthzRequest) => Decision | Promise<Decision>;
};

/** A real firewall whose decisions are scripted; by default it allows. */
export async function start(apis: readonly FirewallApi[], options: Scripted = {}): Promise<Running> {
  const decided: AuthzRequest[] = [];
  const errors: object[] = [];
  const firewall = await startFirewall({
    address: '127.0.0.1:0',
    taint: async () => undefined,
    log: { info: () => undefined, error: (facts) => errors.push(facts) },
    ...options,
    apis,
    decide: async (request) => {
      decided.push(request);
      return options.decide === undefined ? allowed() : options.decide(request);
    },
  });
  closers.push(() => firewall.close());
  return { firewall, port: Number(firewall.address.split(':')[1]), decided, errors };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface Sent {
  readonly port: number;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
}

/** Sends what it is told, byte for byte, and reads the whole answer. */
export async function send(request: Sent): Promise<Answer> {
  const response = await open(request);
  const body = (await bytesOf(response)).toString();
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    body,
  };
}

/** Resolves with the answer's head. */
export async function open({
  port,
  path,
  method = 'GET',
  headers = {},
  body,
}: Sent): Promise<IncomingMessage> {
  const outgoing = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false });
  outgoing.end(body);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return response;
}

export async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The value once it stays the same for a while. */
export async function settled(value: () => number): Promise<number> {
  for (let last = -1, same = 0; ; ) {
    const now = value();
    same = now === last ? same + 1 : 0;
    if (same === 10) return now;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Resolves when it is closed, even by a reset, which `once` would reject for. */
export function closed(end: { once(event: 'close', listener: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => void end.once('close', () => resolve()));
}
