import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { connect, type LookupFunction, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Head } from './read-head.ts';
import { checkedLookup, checkLiteral, type Resolve, systemResolve } from './resolve.ts';

export interface UpstreamRequest {
  readonly origin: string;
  /** Whether a name may stand for this machine, or one of a private network. */
  readonly allowPrivate: boolean;
  readonly method: string;
  /** Sent as it is, in origin form. */
  readonly target: string;
  readonly headers: OutgoingHttpHeaders;
  readonly head: Head;
  /** What follows the head, where that is not the whole body. */
  readonly rest: Readable;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Milliseconds: to connect, and without a byte in either direction. */
export interface Patience {
  readonly connectMs: number;
  readonly idleMs: number;
}

export interface Upstreams {
  /** Resolves with the response's head. Rejects with UpstreamTimeout, UpstreamRefused, or the connection's error. */
  send(request: UpstreamRequest): Promise<IncomingMessage>;
  /** The same on a connection of its own, for a request that asks for another protocol. `socket` null: it was not granted. */
  upgrade(request: UpstreamRequest): Promise<Upgraded>;
  /** A connection alone. Rejects as `send`. */
  connect(wanted: Wanted): Promise<Socket>;
  close(): void;
}

export interface Upgraded {
  readonly response: IncomingMessage;
  /** What the upstream has said behind its answer is still to be read from it. */
  readonly socket: Socket | null;
}

export interface Wanted {
  /** Name or address, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly allowPrivate: boolean;
  readonly signal: AbortSignal;
}

export class UpstreamTimeout extends Error {
  override readonly name = 'UpstreamTimeout';
}

/** Connections to upstreams, kept alive between requests, each to an address that was checked. */
export function openUpstreams(patience: Patience, resolve: Resolve = systemResolve): Upstreams {
  // A kept connection serves those alone who might have made it.
  const ways = { open: wayOf(true, resolve), narrow: wayOf(false, resolve) };
  return {
    async send(request) {
      const way = request.allowPrivate ? ways.open : ways.narrow;
      try {
        return (await attempt(request, way, patience)).response;
      } catch (error) {
        if (!(error instanceof StaleConnection) || !repeatable(request)) throw causeOf(error);
        return (await attempt(request, { ...way, agents: null }, patience)).response;
      }
    },
    upgrade(request) {
      const { lookup } = request.allowPrivate ? ways.open : ways.narrow;
      return attempt(request, { agents: null, lookup }, patience, true);
    },
    connect: (wanted) =>
      connected(wanted, (wanted.allowPrivate ? ways.open : ways.narrow).lookup, patience.connectMs),
    close() {
      for (const { agents } of Object.values(ways)) {
        agents.http.destroy();
        agents.https.destroy();
      }
    },
  };
}

interface Way {
  /** Null: on a connection of its own. */
  readonly agents: { readonly http: HttpAgent; readonly https: HttpsAgent } | null;
  readonly lookup: LookupFunction;
}

function wayOf(allowPrivate: boolean, resolve: Resolve) {
  const options = { keepAlive: true, maxFreeSockets: 64 };
  const agents = { http: new HttpAgent(options), https: new HttpsAgent(options) };
  return { agents, lookup: checkedLookup(resolve, allowPrivate) };
}

/** A kept connection that the upstream had closed, as it may at any time, before it answered. */
class StaleConnection extends Error {}

function causeOf(error: unknown): unknown {
  return error instanceof StaleConnection ? error.cause : error;
}

/** RFC 9110 section 9.2.2: only what can do no harm twice, and only where the body is still at hand. */
function repeatable({ method, head }: UpstreamRequest): boolean {
  return head.complete && ['GET', 'HEAD', 'OPTIONS'].includes(method);
}

function attempt(
  request: UpstreamRequest,
  { agents, lookup }: Way,
  patience: Patience,
  upgrades = false,
): Promise<Upgraded> {
  const { origin, method, target, headers, head, rest, signal } = request;
  const secure = origin.startsWith('https:');
  const { hostname, port } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, '');
  const start = secure ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    checkLiteral(host);
    const outgoing = start({
      agent: agents === null ? false : secure ? agents.https : agents.http,
      hostname: host,
      lookup,
      port: port === '' ? undefined : port,
      method,
      path: target,
      headers,
      signal,
    });
    outgoing.on('socket', (socket) => limitConnecting(socket, secure, patience.connectMs));
    outgoing.setTimeout(patience.idleMs, () =>
      outgoing.destroy(new UpstreamTimeout('the upstream is silent')),
    );
    // Stays: an upstream may reset the connection after it has answered.
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      const stale = outgoing.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(error.code ?? '');
      reject(stale ? new StaleConnection('stale connection', { cause: error }) : error);
    });
    outgoing.once('response', (response) => resolve({ response, socket: null }));
    if (upgrades) {
      outgoing.once('upgrade', (response, socket, ahead) => {
        socket.on('error', ignore);
        if (ahead.length > 0) socket.unshift(ahead);
        resolve({ response, socket: socket as Socket });
      });
    }
    if (head.complete) {
      outgoing.end(head.bytes);
    } else {
      outgoing.write(head.bytes);
      rest.pipe(outgoing);
    }
  });
}

/** Whoever takes the connection on sees it closed. */
function ignore(): void {}

function connected(
  { host, port, allowPrivate: _, signal }: Wanted,
  lookup: LookupFunction,
  limitMs: number,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    checkLiteral(host);
    // Either side may have said all and still listen.
    const socket = connect({ host, port, lookup, signal, allowHalfOpen: true, noDelay: true });
    limitConnecting(socket, false, limitMs);
    // Stays: it may break before anybody has taken it on.
    socket.on('error', reject);
    socket.once('connect', () => resolve(socket));
  });
}

function limitConnecting(socket: Socket, secure: boolean, limitMs: number): void {
  if (!socket.connecting) return;
  const timer = setTimeout(
    () => socket.destroy(new UpstreamTimeout('the upstream does not connect')),
    limitMs,
  );
  const stop = () => clearTimeout(timer);
  socket.once(secure ? 'secureConnect' : 'connect', stop).once('close', stop);
}
