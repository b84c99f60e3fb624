import { createHash } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HeaderLine } from '../schema/request.ts';
import { sendFailure } from './answer.ts';
import { type Exchanges, hangingUp, passBack } from './exchange.ts';
import { handedOver, join } from './handed-over.ts';
import { downstreamHeaders, linesOf } from './headers.ts';
import { guarded, type Permit, permitOf, unreached, upstreamRequest } from './permit.ts';
import type { Upgraded } from './upstream.ts';

/** RFC 6455, section 1.3. */
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** The handshake's own fields go on, whatever the api forwards. */
const HANDSHAKE = ['key', 'version', 'protocol', 'extensions'].map((name) => `sec-websocket-${name}`);

/**
 * A request that asks for another protocol: decided on once, like any other. Of protocols only WebSocket goes on
 * (RFC 6455), since HTTP/2 in the clear would carry requests that nobody decides on. Never rejects.
 * @param ahead what came behind the request's head
 */
export function upgrade(
  incoming: IncomingMessage,
  socket: Socket,
  ahead: Buffer,
  firewall: Exchanges,
): Promise<void> {
  return handedOver(incoming, socket, firewall, (outgoing) =>
    serve(incoming, outgoing, socket, ahead, firewall),
  );
}

async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  socket: Socket,
  ahead: Buffer,
  firewall: Exchanges,
): Promise<void> {
  const lines = guarded(incoming, outgoing, firewall);
  if (lines === null) return;
  if (hasBody(incoming)) {
    const message = 'a request that asks for another protocol may have no body';
    return sendFailure(outgoing, { error: 'header_ambiguous', message });
  }
  const head = { bytes: Buffer.alloc(0), complete: true };
  const permit = await permitOf({ incoming, outgoing, lines, head }, firewall);
  if (permit === null) return;
  if (!asksForWebSocket(incoming)) {
    const message =
      'the request was allowed, and of other protocols only WebSocket (version 13) goes through';
    const decisionId = permit.decision.decision_id;
    return sendFailure(outgoing, { error: 'upgrade_unsupported', message, decisionId });
  }
  await forward(permit, socket, ahead, firewall);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

function asksForWebSocket({ method, headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-version'] === '13' &&
    headers['sec-websocket-key'] !== undefined
  );
}

async function forward(permit: Permit, agent: Socket, ahead: Buffer, firewall: Exchanges): Promise<void> {
  const waiting = hangingUp(permit, firewall);
  if (waiting.signal.aborted) return;
  const upgraded = await ask(permit, firewall, waiting.signal);
  if (upgraded === null) return;
  const { response, socket: upstream } = upgraded;
  if (upstream === null) return passBack(response, permit, firewall);

  const { outgoing, decision, answer, destination } = permit;
  const greet = () => {
    const headers = downstreamHeaders(response.rawHeaders, answer, decision.decision_id, null);
    outgoing.writeHead(101, [...headers, 'connection', 'Upgrade', 'upgrade', 'websocket']);
    outgoing.flushHeaders();
    outgoing.detachSocket(agent);
  };
  await join(permit, { agent, ahead, upstream, name: destination.api.id }, waiting, greet, firewall);
}

async function ask(
  permit: Permit,
  { upstreams, log }: Exchanges,
  signal: AbortSignal,
): Promise<Upgraded | null> {
  const request = upstreamRequest(permit, signal);
  const handshake = handshakeOf(permit.lines);
  try {
    const upgraded = await upstreams.upgrade({ ...request, headers: { ...request.headers, ...handshake } });
    if (upgraded.socket !== null && !accepted(upgraded.response, permit.incoming)) {
      upgraded.socket.destroy();
      throw new Error('the upstream switched to something else than the WebSocket that it was asked for');
    }
    return upgraded;
  } catch (error) {
    if (!signal.aborted) unreached(error, permit, permit.destination.api.id, log);
    return null;
  }
}

function handshakeOf(lines: readonly HeaderLine[]): OutgoingHttpHeaders {
  const headers: Record<string, string[]> = {};
  for (const [key, value] of lines) {
    const name = key.toLowerCase();
    if (HANDSHAKE.includes(name)) headers[name] = [...(headers[name] ?? []), value];
  }
  return { ...headers, connection: 'Upgrade', upgrade: 'websocket' };
}

/** RFC 6455, section 4.1: an answer that was made for this very key. */
function accepted({ rawHeaders, headers }: IncomingMessage, asked: IncomingMessage): boolean {
  const wanted = createHash('sha1')
    .update(String(asked.headers['sec-websocket-key']).trim() + ACCEPT_SUFFIX)
    .digest('base64');
  const given = linesOf(rawHeaders).filter(([name]) => name.toLowerCase() === 'sec-websocket-accept');
  return headers.upgrade?.toLowerCase() === 'websocket' && given.length === 1 && given[0]?.[1] === wanted;
}
