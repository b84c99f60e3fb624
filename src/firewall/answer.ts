import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { type ReasonCode, statusOf } from '../reason.ts';
import type { FirewallAnswer } from '../request/firewall.ts';

/** What went wrong besides the verdict. Each goes out in the error shape of the REST API. */
export const FAILURES = {
  /** A request that is not decided on. */
  header_ambiguous: 403,
  route_unknown: 403,
  upgrade_unsupported: 501,
  /** The address is none that the firewall connects to. */
  upstream_refused: 502,
  upstream_unavailable: 502,
  upstream_timeout: 504,
  state_not_ready: 503,
  internal_error: 503,
} as const;

export interface Failure {
  readonly error: keyof typeof FAILURES;
  readonly message: string;
  readonly decisionId?: string;
}

export function sendFailure(response: ServerResponse, { error, message, decisionId }: Failure): void {
  const id = decisionId === undefined ? {} : { decision_id: decisionId };
  const body = { success: false, error, message, request_id: randomUUID(), ...id };
  send(response, FAILURES[error], [['content-type', 'application/json']], JSON.stringify(body), decisionId);
}

export function sendDenial(
  response: ServerResponse,
  answer: Extract<FirewallAnswer, { verdict: 'deny' }>,
  decisionId: string,
  proxied = false,
): void {
  // To a client of a proxy, 401 is what the upstream says: the proxy asks for its own credential by 407.
  const asks = proxied && answer.status === 401;
  const challenge = ['proxy-authenticate', 'Basic realm="lemma"'] as const;
  const headers = asks ? [...answer.headers, challenge] : answer.headers;
  send(response, asks ? 407 : answer.status, headers, answer.body, decisionId);
}

/** The leave to do what was asked about. */
export function sendVerdict(response: ServerResponse, decisionId: string): void {
  const body = { success: true, verdict: 'allow', decision_id: decisionId };
  send(response, 200, [['content-type', 'application/json']], JSON.stringify(body), decisionId);
}

/** What was allowed, and is so no more before anything of it was answered. */
export function sendStop(response: ServerResponse, reason: ReasonCode, decisionId: string): void {
  const body = { success: false, error: reason, decision_id: decisionId };
  const headers = [['content-type', 'application/json']] as const;
  send(response, statusOf(reason).http, headers, JSON.stringify(body), decisionId);
}

function send(
  response: ServerResponse,
  status: number,
  headers: readonly (readonly [string, string])[],
  body: string,
  decisionId: string | undefined,
): void {
  if (response.destroyed || response.headersSent) return;
  const own = new Map<string, string | number>([['cache-control', 'no-store'], ...headers]);
  own.set('content-length', Buffer.byteLength(body));
  if (decisionId !== undefined) own.set('x-lemma-decision-id', decisionId);
  // What is left of the body is not worth reading, and would be taken for the next request.
  if (!response.req.complete) own.set('connection', 'close');
  response.writeHead(status, [...own].flat() as string[]);
  // Bytes: with a text Node would encode the headers anew, as it does the text.
  response.end(Buffer.from(body));
}
