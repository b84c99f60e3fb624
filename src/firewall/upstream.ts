import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Head } from './read-head.ts';

export interface UpstreamRequest {
  readonly origin: string;
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
  /** Resolves with the response's head. Rejects with UpstreamTimeout, or with the connection's error. */
  send(request: UpstreamRequest): Promise<IncomingMessage>;
  close(): void;
}

export class UpstreamTimeout extends Error {
  override readonly name = 'UpstreamTimeout';
}

/** Connections to upstreams, kept alive between requests. */
export function openUpstreams(patience: Patience): Upstreams {
  const options = { keepAlive: true, maxFreeSockets: 64 };
  const agents = { http: new HttpAgent(options), https: new HttpsAgent(options) };
  return {
    async send(request) {
      try {
        return await attempt(request, agents, patience);
      } catch (error) {
        if (!(error instanceof StaleConnection) || !repeatable(request)) throw causeOf(error);
        return attempt(request, null, patience);
      }
    },
    close() {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

type Agents = { readonly http: HttpAgent; readonly https: HttpsAgent };

/** A kept connection that the upstream had closed, as it may at any time, before it answered. */
class StaleConnection extends Error {}

function causeOf(error: unknown): unknown {
  return error instanceof StaleConnection ? error.cause : error;
}

/** RFC 9110 section 9.2.2: only what can do no harm twice, and only where the body is still at hand. */
function repeatable({ method, head }: UpstreamRequest): boolean {
  return head.complete && ['GET', 'HEAD', 'OPTIONS'].includes(method);
}

/** `agents` null: on a connection of its own. */
function attempt(
  request: UpstreamRequest,
  agents: Agents | null,
  patience: Patience,
): Promise<IncomingMessage> {
  const { origin, method, target, headers, head, rest, signal } = request;
  const secure = origin.startsWith('https:');
  const { hostname, port } = new URL(origin);
  const start = secure ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const outgoing = start({
      agent: agents === null ? false : secure ? agents.https : agents.http,
      hostname: hostname.replace(/^\[|\]$/g, ''),
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
