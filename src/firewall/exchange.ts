import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { type Destination, type FirewallAnswer, toRequest, toResponse } from '../request/firewall.ts';
import type { Actor, Decision } from '../schema/decision.ts';
import type { AuthzRequest, HeaderLine } from '../schema/request.ts';
import { sendDenial, sendFailure } from './answer.ts';
import { refusalOf } from './guard.ts';
import { downstreamHeaders, linesOf, upstreamHeaders } from './headers.ts';
import type { McpFront } from './mcp/front.ts';
import { type Head, readHead } from './read-head.ts';
import { type Upstreams, UpstreamTimeout } from './upstream.ts';

/** Why a runtime is tainted. */
export interface TaintCause {
  readonly decision_id: string;
  readonly api: string;
}

/** What the firewall decides and forwards with. `apis` is asked on each request: a reload replaces it whole. */
export interface Exchanges {
  readonly port: () => number;
  readonly apis: () => Apis;
  /** Answers what is for `/mcp/`; null where no MCP server is configured. */
  readonly mcp: () => McpFront | null;
  readonly decide: (request: AuthzRequest) => Promise<Decision>;
  /** Resolves when the runtime's new taint epoch is durable and in force. */
  readonly taint: (actor: Actor, cause: TaintCause) => Promise<void>;
  readonly upstreams: Upstreams;
  /** Bytes of a body that are held for the decision; what is longer is decided on as truncated. */
  readonly bodyLimit: number;
  readonly log: { error(facts: object, message: string): void };
}

export interface Apis {
  readonly destinations: ReadonlyMap<string, Destination>;
  /** Injected header values by api. */
  readonly secrets: ReadonlyMap<string, string>;
}

type Allowed = Extract<FirewallAnswer, { verdict: 'allow' }>;

/** One request from the agent, from its head to the last byte of its answer. Never rejects. */
export async function exchange(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  firewall: Exchanges,
): Promise<void> {
  try {
    await serve(incoming, outgoing, firewall);
  } catch (error) {
    firewall.log.error({ err: error }, 'a request through the firewall failed');
    if (outgoing.headersSent) outgoing.destroy();
    else sendFailure(outgoing, { error: 'internal_error', message: 'the firewall failed' });
  }
}

async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  firewall: Exchanges,
): Promise<void> {
  const lines = linesOf(incoming.rawHeaders);
  const refusal = refusalOf(lines, firewall.port());
  if (refusal !== null) return sendFailure(outgoing, { error: 'header_ambiguous', message: refusal });

  const mcp = firewall.mcp();
  if (mcp !== null && incoming.url?.startsWith('/mcp/') === true) return mcp.serve(incoming, outgoing, lines);

  const head = await readHead(incoming, firewall.bodyLimit).catch(() => null);
  if (head === null) return; // nobody is left to answer, and nothing was asked for whole

  const apis = firewall.apis();
  const { request, destination } = toRequest(receivedOf(incoming, lines, head), apis.destinations);
  const decision = await firewall.decide(request);
  const answer = toResponse(decision, request);
  if (answer.verdict === 'deny') return sendDenial(outgoing, answer, decision.decision_id);
  if (destination === null) {
    const message = 'no such api: requests go to /firewall/<api>/<path>';
    return sendFailure(outgoing, { error: 'route_unknown', message, decisionId: decision.decision_id });
  }
  const secret = apis.secrets.get(destination.api.id) ?? null;
  await forward(
    { incoming, outgoing, lines, head, request, destination, secret, decision, answer },
    firewall,
  );
}

function receivedOf(incoming: IncomingMessage, lines: readonly HeaderLine[], head: Head) {
  const length = Number(incoming.headers['content-length'] ?? Number.NaN);
  const sizeSaid = Number.isSafeInteger(length) ? length : null;
  return {
    method: incoming.method ?? '',
    target: incoming.url ?? '',
    host: incoming.headers.host ?? '',
    protocol: `HTTP/${incoming.httpVersion}`,
    headers: lines,
    body: {
      seen: head.bytes.length > 0 ? head.bytes : null,
      partial: !head.complete,
      size: head.complete ? head.bytes.length : sizeSaid,
    },
    address: incoming.socket.remoteAddress ?? '',
  };
}

interface Permit {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly lines: readonly HeaderLine[];
  readonly head: Head;
  readonly request: AuthzRequest;
  readonly destination: Destination;
  readonly secret: string | null;
  readonly decision: Decision;
  readonly answer: Allowed;
}

/** Sends an allowed request on, and its answer back. */
async function forward(permit: Permit, firewall: Exchanges): Promise<void> {
  const { outgoing, answer, decision } = permit;
  const hangUp = new AbortController();
  outgoing.once('close', () => hangUp.abort());
  if (outgoing.destroyed) return;

  const response = await ask(permit, firewall, hangUp.signal);
  if (response === null) return;
  if (!(await tainted(permit, firewall))) {
    response.destroy();
    return;
  }
  if (outgoing.destroyed) {
    response.destroy();
    return;
  }
  const headers = downstreamHeaders(response.rawHeaders, answer, decision.decision_id);
  outgoing.writeHead(response.statusCode ?? 502, response.statusMessage ?? '', headers);
  outgoing.flushHeaders(); // an event stream may keep its first event back for long
  // A broken answer is passed on as broken: `pipeline` resets the agent's connection.
  await pipeline(response, outgoing).catch(() => undefined);
}

async function ask(
  permit: Permit,
  firewall: Exchanges,
  signal: AbortSignal,
): Promise<IncomingMessage | null> {
  const { incoming, outgoing, head, request, destination, decision } = permit;
  try {
    return await firewall.upstreams.send({
      origin: destination.origin,
      method: request.method,
      target: request.target,
      headers: headersOf(permit),
      head,
      rest: incoming,
      signal,
    });
  } catch (error) {
    if (signal.aborted) return null;
    const api = destination.api.id;
    firewall.log.error({ err: error, api, decision_id: decision.decision_id }, 'an upstream did not answer');
    const late = error instanceof UpstreamTimeout;
    sendFailure(outgoing, {
      error: late ? 'upstream_timeout' : 'upstream_unavailable',
      message: `the request was allowed, and ${api} ${late ? 'did not answer in time' : 'cannot be reached'}`,
      decisionId: decision.decision_id,
    });
    return null;
  }
}

function headersOf({ lines, head, destination, secret, decision, answer }: Permit) {
  const { api, host } = destination;
  return upstreamHeaders({
    lines,
    forward: api.forward_headers,
    answer,
    rewritten: new Set(decision.rewrite.map(([name]) => name.toLowerCase())),
    inject: api.inject === null || secret === null ? null : { header: api.inject.header, value: secret },
    host,
    head,
  });
}

/** Before the first byte of an answer that may carry instructions: false, and nothing of it passes, when that fails. */
async function tainted({ outgoing, decision, destination }: Permit, firewall: Exchanges): Promise<boolean> {
  if (!decision.taintOnResponse) return true;
  const decision_id = decision.decision_id;
  try {
    if (decision.actor === null) throw new Error('no runtime is known to taint');
    await firewall.taint(decision.actor, { decision_id, api: destination.api.id });
    return true;
  } catch (error) {
    firewall.log.error(
      { err: error, decision_id },
      'a runtime could not be tainted: the answer was kept back',
    );
    const message = 'the taint of this answer could not be recorded, so it was kept back';
    sendFailure(outgoing, { error: 'state_not_ready', message, decisionId: decision_id });
    return false;
  }
}
