import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Logger } from 'pino';
import { randomBytes } from '#runtime';
import { addressProblem, parseAddress } from '../config/address.ts';
import { toBase64url } from '../crypto/base64url.ts';
import { InputError } from '../reason.ts';
import { type ErrorBody, type Failure, failure, failureOf, malformed } from './errors.ts';
import { serverLogger } from './logging.ts';
import { readBody } from './read.ts';
import { bindSocket } from './socket.ts';
import { guardTls, type Tls, type TlsGuard } from './tls.ts';

/** Both listeners are made of this: strict JSON in, one error shape out, ids, security headers, an orderly end. */

/** Node's own limit of 16 KiB is less than a credential may take. */
const MAX_HEADER_BYTES = 64 * 1024;
/** How long a client may take to send a request, before it is cut off. */
const REQUEST_TIMEOUT_MS = 30_000;
/** And its head alone, which costs a client nothing to hold back. */
const HEADERS_TIMEOUT_MS = 10_000;
/** How often both are looked at. */
const TIMEOUTS_CHECKED_MS = 5_000;
const CONNECTIONS_AT_MOST = 4096;
const DRAIN_MS = 10_000;

/** Answers are data: never rendered, framed, sniffed or kept. */
const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const;

export interface HttpServer {
  /** As bound: `host:port` with the real port, or `unix:///path`. */
  readonly address: string;
  /** Null without TLS. */
  readonly tls: TlsGuard | null;
  /** Takes no more connections, lets requests under way finish, cuts what is left after 10 s. Idempotent. */
  close(): Promise<void>;
}

export interface HttpOptions {
  readonly log: Logger;
  /** Bytes. */
  readonly bodyLimit: number;
  /** Null or absent: plain HTTP. */
  readonly tls?: Tls | null;
  /** Milliseconds in which a request's head must have come; default 10,000. */
  readonly headersTimeout?: number;
  /** Gives the target that a request is routed by, where that is not its own. */
  readonly routedAs?: (target: string) => string;
  /**
   * Proxies ask it of their clients' requests. They know no refusal but 401 and 403, and forward each header, so that
   * every one that came is seen, whatever it says.
   */
  readonly proxied?: boolean;
}

/** An application without routes and without a listener. */
export function createHttp({
  log,
  bodyLimit,
  tls = null,
  headersTimeout = HEADERS_TIMEOUT_MS,
  routedAs,
  proxied = false,
}: HttpOptions): FastifyInstance {
  const transport = {
    maxHeaderSize: MAX_HEADER_BYTES,
    requireHostHeader: !proxied,
    headersTimeout,
    connectionsCheckingInterval: Math.min(headersTimeout, TIMEOUTS_CHECKED_MS),
  };
  // Fastify's types choose the server's class by this option; what is used of it here both have.
  const secure = (tls === null ? { http: transport } : { https: { ...transport, ...tls.options } }) as {
    http: typeof transport;
  };
  const app: FastifyInstance = Fastify({
    ...secure,
    loggerInstance: serverLogger(log),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: requestId,
    // A client's own id could be another's, or forge a line of the log.
    requestIdHeader: false,
    bodyLimit,
    requestTimeout: REQUEST_TIMEOUT_MS,
    ...(routedAs === undefined ? {} : { rewriteUrl: ({ url = '' }: IncomingMessage) => routedAs(url) }),
    forceCloseConnections: 'idle',
    // What comes on an open connection while the server closes is still answered, and the connection then ends.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      setHeaders(request, reply);
      answerError(error, request, reply);
    },
    clientErrorHandler: (error, socket) => answerMalformed(error, socket, proxied ? 403 : undefined),
  });
  app.server.maxConnections = CONNECTIONS_AT_MOST;
  if (proxied) readEverything(app.server);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) => {
      received.set(request, body);
      return readBody(body);
    },
  );
  app.addHook('onRequest', async (request, reply) => setHeaders(request, reply));
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) =>
    sendFailure(failure('not_found', 'no such path or method'), request, reply),
  );
  return app;
}

const received = new WeakMap<FastifyRequest, Uint8Array>();

/** The bytes of a JSON body, as they came: what a signature covers. */
export function bytesOf(request: FastifyRequest): Uint8Array {
  return received.get(request) ?? new Uint8Array();
}

/** Node refuses more than some 1,000 headers with 431, where earlier releases dropped the rest, and a strange `Expect` with 417. */
function readEverything(server: Server): void {
  server.maxHeadersCount = 0;
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
}

function requestId(): string {
  return `req_${toBase64url(randomBytes(16))}`;
}

function setHeaders(request: FastifyRequest, reply: FastifyReply): void {
  reply.headers({ ...SECURITY_HEADERS, 'x-request-id': request.id });
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const failed = failureOf(error);
  if (failed.unexpected)
    request.log.error({ err: error, route: request.routeOptions.url }, 'a request failed');
  if (failed.code === 'auth_required') reply.header('www-authenticate', 'Bearer realm="lemma"');
  if (typeof failed.retryAfter === 'number') reply.header('retry-after', failed.retryAfter);
  sendFailure(failed, request, reply);
}

export function sendFailure(
  { code, status, message }: Failure,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const body: ErrorBody = { success: false, error: code, message, request_id: request.id };
  reply.code(status).send(body);
}

/** Bytes that Node's parser refused: there is no request to answer, only a socket. `as`: with this status instead. */
function answerMalformed(error: Error & { readonly code?: string }, socket: Socket, as?: number): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const { code, status, message } = malformed(error);
  const body = JSON.stringify({
    success: false,
    error: code,
    message,
    request_id: requestId(),
  } satisfies ErrorBody);
  const head = [
    `HTTP/1.1 ${as ?? status} ${code}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    ...Object.entries(SECURITY_HEADERS).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

export interface ListenOptions {
  /** Permissions of a unix socket; default: for its user and group. */
  readonly mode?: number;
  /** What the application was made with. */
  readonly tls?: Tls | null;
}

/**
 * Listens at `host:port`, `[::1]:port` or `unix:///path`.
 *
 * @throws InputError under `field` when the address cannot be used.
 */
export async function listen(
  app: FastifyInstance,
  address: string,
  field: string,
  { mode = 0o660, tls = null }: ListenOptions = {},
): Promise<HttpServer> {
  const parsed = parseAddress(address);
  if (parsed === null) throw new InputError([{ field, message: `${address} ${addressProblem(address)}` }]);
  const close = closing(app);
  const guard = tls !== null && app.server instanceof TlsServer ? guardTls(app.server, tls) : null;
  try {
    if (parsed.kind === 'unix') {
      const { path } = parsed;
      await bindSocket({ path, mode, field }, () => app.listen({ path }));
      return { address, tls: guard, close };
    }
    await app.listen({ host: parsed.host, port: parsed.port, listenTextResolver: () => 'listening' });
    const bound = app.server.address();
    const port = bound !== null && typeof bound === 'object' ? bound.port : parsed.port;
    return { address: address.replace(/\d+$/, String(port)), tls: guard, close };
  } catch (error) {
    await app.close();
    if (error instanceof InputError || !(error instanceof Error && 'syscall' in error)) throw error;
    throw new InputError([{ field, message: `${address} cannot be bound: ${error.message}` }]);
  }
}

function closing(app: FastifyInstance): () => Promise<void> {
  let closed: Promise<void> | undefined;
  return () => {
    closed ??= drain(app);
    return closed;
  };
}

async function drain(app: FastifyInstance): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), DRAIN_MS);
  try {
    await app.close();
  } finally {
    clearTimeout(cut);
  }
}
