import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { LookupFunction, Socket } from 'node:net';
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
  close(): void;
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
        return await attempt(request, way, patience);
      } catch (error) {
        if (!(error instanceof StaleConnection) || !repeatable(request)) throw causeOf(error);
        return attempt(request, { ...way, agents: null }, patience);
      }
    },
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
): Promise<IncomingMessage> {
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
    outgoing.once('response', resolve);
    if (head.complete) {
      outgoing.end(head.bytes);
    } else {
      outgoing.write(head.bytes);
      rest.pipe(outgoing);
    }
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
