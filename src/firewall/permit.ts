import type { IncomingMessage, ServerResponse } from 'node:http';
import { rangeOf } from '../config/ip-range.ts';
import {
  type Asked,
  type Destination,
  type FirewallAnswer,
  type Received,
  toRequest,
  toResponse,
} from '../request/firewall.ts';
import type { Decision } from '../schema/decision.ts';
import type { AuthzRequest, HeaderLine } from '../schema/request.ts';
import { type Failure, sendDenial, sendFailure } from './answer.ts';
import type { Apis, Exchanges } from './exchange.ts';
import { refusalOf } from './guard.ts';
import { linesOf, upstreamHeaders } from './headers.ts';
import type { Head } from './read-head.ts';
import { UpstreamRefused } from './resolve.ts';
import { keptBack } from './taint.ts';
import { type UpstreamRequest, UpstreamTimeout } from './upstream.ts';

/** A request that was allowed, and what it goes on with. */
export interface Permit {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly lines: readonly HeaderLine[];
  readonly head: Head;
  readonly request: AuthzRequest;
  readonly destination: Destination;
  readonly destinations: ReadonlyMap<string, Destination>;
  /** Asked of the firewall as of a proxy, by the upstream's own URL. */
  readonly proxied: boolean;
  readonly secret: string | null;
  readonly decision: Decision;
  readonly answer: Extract<FirewallAnswer, { verdict: 'allow' }>;
}

/** The lines of a request that may be decided on; null where it was refused, and answered so. */
export function guarded(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  firewall: Exchanges,
): readonly HeaderLine[] | null {
  const lines = linesOf(incoming.rawHeaders);
  const refusal = refusalOf(lines, incoming, firewall.port());
  if (refusal === null) return lines;
  sendFailure(outgoing, { error: 'header_ambiguous', message: refusal });
  return null;
}

/** Decides on a request; null where it goes no further, and was answered so. */
export async function permitOf(
  { incoming, outgoing, lines, head }: Pick<Permit, 'incoming' | 'outgoing' | 'lines' | 'head'>,
  firewall: Exchanges,
): Promise<Permit | null> {
  const apis = firewall.apis();
  const { destinations, secrets } = apis;
  const { request, destination, proxied } = askedOf(receivedOf(incoming, lines, head), apis);
  const decision = await firewall.decide(request);
  const answer = toResponse(decision, request);
  if (answer.verdict === 'deny') {
    sendDenial(outgoing, answer, decision.decision_id, proxied);
    return null;
  }
  if (destination === null) {
    const message = 'no such api: requests go to /firewall/<api>/<path>';
    sendFailure(outgoing, { error: 'route_unknown', message, decisionId: decision.decision_id });
    return null;
  }
  const secret = secrets.get(destination.api.id) ?? null;
  return {
    incoming,
    outgoing,
    lines,
    head,
    request,
    destination,
    destinations,
    proxied,
    secret,
    decision,
    answer,
  };
}

/** What is decided about a request. */
export function askedOf(received: Received, { destinations, proxy, fallback }: Apis): Asked {
  return toRequest(received, {
    destinations,
    proxies: proxy !== null,
    fallback: proxy !== null && isHere(received.address) ? fallback : () => null,
  });
}

/** What came on a connection from this machine itself. */
export function isHere(address: string): boolean {
  return rangeOf(address).reach === 'loopback';
}

export function receivedOf(incoming: IncomingMessage, lines: readonly HeaderLine[], head: Head): Received {
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

/** What an allowed request is to its upstream. */
export function upstreamRequest(permit: Permit, signal: AbortSignal): UpstreamRequest {
  const { incoming, lines, head, request, destination, secret, decision, answer } = permit;
  const { api, origin, host } = destination;
  return {
    origin,
    allowPrivate: api.allow_private,
    method: request.method,
    target: request.target,
    headers: upstreamHeaders({
      lines,
      forward: api.forward_headers,
      answer,
      rewritten: new Set(decision.rewrite.map(([name]) => name.toLowerCase())),
      inject: api.inject === null || secret === null ? null : { header: api.inject.header, value: secret },
      host,
      head,
    }),
    head,
    rest: incoming,
    signal,
  };
}

/** Says that an upstream was not reached, to the agent and, with the reason, to operators. `name` is the upstream's. */
export function unreached(
  error: unknown,
  { outgoing, decision }: Pick<Permit, 'outgoing' | 'decision'>,
  name: string,
  log: Exchanges['log'],
): void {
  const decisionId = decision.decision_id;
  log.error({ err: error, api: name, decision_id: decisionId }, 'an upstream did not answer');
  sendFailure(outgoing, { ...failureOf(error, name), decisionId });
}

/** Where it was refused, the address is for operators: an agent has no use for the network's inside. */
function failureOf(error: unknown, name: string): Pick<Failure, 'error' | 'message'> {
  const told = (what: string) => `the request was allowed, and ${name} ${what}`;
  if (error instanceof UpstreamRefused)
    return { error: 'upstream_refused', message: told('is where the firewall does not connect to') };
  if (error instanceof UpstreamTimeout)
    return { error: 'upstream_timeout', message: told('did not answer in time') };
  return { error: 'upstream_unavailable', message: told('cannot be reached') };
}

/** Has the taint of an answer in force before its first byte: false where it was kept back, and answered so. */
export async function tainted(
  { outgoing, decision }: Pick<Permit, 'outgoing' | 'decision'>,
  name: string,
  firewall: Pick<Exchanges, 'taint' | 'log'>,
): Promise<boolean> {
  const message = await keptBack(decision, name, firewall);
  if (message === null) return true;
  sendFailure(outgoing, { error: 'state_not_ready', message, decisionId: decision.decision_id });
  return false;
}
