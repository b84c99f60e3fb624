import { lookup } from 'node:dns/promises';
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, isIP, type ListenOptions, type Socket } from 'node:net';
import type { Address } from '../config/address.ts';
import { fail, type Method, refuse, type StreamingCall, serveStreaming, serveUnary } from './grpc-call.ts';
import { answersEarly, holdNative } from './grpc-native.ts';
import { calmDown, NODE_RESET_LIMITS, resetCounter } from './grpc-resets.ts';
import { keepStreamsInPlace } from './grpc-streams.ts';
import { GrpcError, STATUS } from './grpc-wire.ts';
import { guardTls, peerOf, type Tls, type TlsGuard } from './tls.ts';

/** By path: `/package.Service/Method`. */
export type Methods = ReadonlyMap<string, Method>;

export interface ListenerOptions {
  readonly tls?: Tls | null | undefined;
  /** Told of a connection that is ended because it resets too many calls, and whom its certificate names. */
  readonly onFlood?: (peer: string | null) => void;
  /** Told of connections that could not be accepted (no file descriptors). */
  readonly onError?: (error: Error) => void;
}

export interface Listener {
  /** Null without TLS. */
  readonly tls: TlsGuard | null;
  /** The port that was taken; 0 for a unix socket. */
  listen(address: Address): Promise<number>;
  /** Clients get GOAWAY, open streaming calls end, unary ones finish; what is left after `limitMs` is cut. */
  close(limitMs: number): Promise<void>;
}

/** Bytes of a message, and so of a body, which travels inside one; more than any sane `max_request_bytes` of Envoy's. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** MiB of a connection's streams together. */
const MAX_SESSION_MEMORY = 1024;
/** Bytes that may be under way to us: on one stream, and on a connection. */
const STREAM_WINDOW = 1024 * 1024;
const SESSION_WINDOW = 16 * STREAM_WINDOW;
/** On one connection. As many as Envoy opens by itself; it opens another connection for more. */
const STREAMS_AT_MOST = 1024;
/** Every Envoy has one for each of its workers. */
const CONNECTIONS_AT_MOST = 4096;
const HANDSHAKE_MS = 10_000;
/** Finds peers that went without a word. */
const KEEP_ALIVE_MS = 60_000;

interface Peer {
  /** Whom its client's certificate names. */
  readonly name: string | null;
  readonly countReset: (stream: ServerHttp2Stream) => void;
}

/**
 * HTTP/2 for gRPC. The one place that accepts connections (`onSession`) and calls (`onStream`): where they are counted,
 * limited or authenticated.
 */
export function createListener(
  methods: Methods,
  { tls = null, onFlood = () => undefined, onError = () => undefined }: ListenerOptions = {},
): Listener {
  const servers: (Http2Server | Http2SecureServer)[] = [];
  const guards: TlsGuard[] = [];
  let current = tls;
  const sockets = new Set<Socket>();
  const sessions = new Map<ServerHttp2Session, Peer>();
  const streaming = new Set<StreamingCall>();
  let closing = false;

  function onSession(session: ServerHttp2Session): void {
    holdNative(session);
    keepStreamsInPlace(session);
    if (closing) {
      session.close();
      return;
    }
    const countReset = resetCounter(() => {
      onFlood(peerOf(session.socket));
      calmDown(session);
    });
    sessions.set(session, { name: peerOf(session.socket), countReset });
    session.on('close', () => sessions.delete(session));
    // The connection ends with it; there is nobody to tell.
    session.on('error', () => undefined);
    session.setLocalWindowSize(SESSION_WINDOW);
  }

  function onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    // A caller that resets its call, or goes, is no error of ours.
    stream.on('error', () => undefined);
    const peer =
      stream.session === undefined ? undefined : sessions.get(stream.session as ServerHttp2Session);
    peer?.countReset(stream);
    const path = headers[':path'] ?? '';
    const method = methods.get(path);
    if (headers[':method'] !== 'POST') refuse(stream, 405);
    else if (!isGrpc(headers['content-type'])) refuse(stream, 415);
    else if (method === undefined) fail(stream, unknown(path));
    else serve(stream, headers, method, peer?.name ?? null);
  }

  function serve(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    method: Method,
    peer: string | null,
  ): void {
    if (method.kind === 'unary') {
      serveUnary(stream, headers, method.call, { limit: MAX_MESSAGE_BYTES, peer });
      return;
    }
    const session = stream.session as ServerHttp2Session | undefined;
    if (!method.oneRequest && (session === undefined || !answersEarly(session, stream))) {
      fail(stream, new GrpcError(STATUS.resourceExhausted, 'too many calls of this kind are open'));
      return;
    }
    const call = serveStreaming(stream, headers, method, MAX_MESSAGE_BYTES);
    streaming.add(call);
    call.once('close', () => streaming.delete(call));
  }

  function createHttp2(): Http2Server | Http2SecureServer {
    const options = {
      maxSessionMemory: MAX_SESSION_MEMORY,
      settings: {
        initialWindowSize: STREAM_WINDOW,
        enablePush: false,
        maxConcurrentStreams: STREAMS_AT_MOST,
      },
      ...NODE_RESET_LIMITS,
    };
    if (current === null) return createServer(options);
    // Without `allowHTTP1` ALPN offers h2 alone.
    const server = createSecureServer({
      ...options,
      ...current.options,
      handshakeTimeout: HANDSHAKE_MS,
    });
    guards.push(guardTls(server, current));
    return server;
  }

  function bind(where: ListenOptions): Promise<number> {
    const server = createHttp2();
    server.maxConnections = CONNECTIONS_AT_MOST;
    server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    server.on('session', onSession);
    server.on('stream', onStream);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(where, () => {
        server.off('error', reject).on('error', onError);
        servers.push(server);
        resolve((server.address() as AddressInfo | string | null as AddressInfo).port ?? 0);
      });
    });
  }

  return {
    tls:
      tls === null
        ? null
        : {
            renew(next) {
              current = next;
              for (const guard of guards) guard.renew(next);
            },
          },
    async listen(address) {
      if (address.kind === 'unix') {
        await bind({ path: address.path });
        return 0;
      }
      const { host } = address;
      const hosts =
        isIP(host) > 0 ? [host] : (await lookup(host, { all: true })).map((found) => found.address);
      let { port } = address;
      const failures: unknown[] = [];
      // A name may stand for an address of either family; one that can be had is enough.
      for (const one of new Set(hosts)) {
        try {
          port = await bind({ host: one, port });
        } catch (error) {
          failures.push(error);
        }
      }
      if (servers.length === 0) throw failures[0];
      return port;
    },
    async close(limitMs) {
      closing = true;
      const closed = Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
      for (const call of streaming) call.end();
      for (const session of sessions.keys()) session.close();
      let timer: NodeJS.Timeout | undefined;
      const limit = new Promise((resolve) => {
        timer = setTimeout(resolve, limitMs);
      });
      await Promise.race([closed, limit]);
      clearTimeout(timer);
      for (const session of sessions.keys()) session.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function unknown(path: string): GrpcError {
  return new GrpcError(STATUS.unimplemented, `there is no ${path.slice(0, 256)}`);
}

/** `application/grpc`, alone or with `+proto` or parameters. */
function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(?:$|[+;])/i.test(contentType);
}
