import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Destination } from '../request/firewall.ts';
import type { Allowed } from '../request/proxy.ts';
import type { AgentTools } from '../schema/agent-tools.ts';
import type { Actor, Decision } from '../schema/decision.ts';
import type { AuthzRequest } from '../schema/request.ts';
import { agentAskedAbout, answerHook } from './agent-tools.ts';
import { sendFailure, sendStop } from './answer.ts';
import { downstreamHeaders } from './headers.ts';
import type { McpFront } from './mcp/front.ts';
import { guarded, type Permit, permitOf, tainted, unreached, upstreamRequest } from './permit.ts';
import { readHead } from './read-head.ts';
import type { Redirects } from './redirect.ts';
import type { UnderWay } from './under-way.ts';
import type { Upstreams } from './upstream.ts';

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
  readonly underWay: UnderWay;
  /** Bytes of a body that are held for the decision; what is longer is decided on as truncated. */
  readonly bodyLimit: number;
  /** Milliseconds that a tunnel may be silent. */
  readonly idleMs: number;
  readonly log: {
    info(facts: object, message: string): void;
    error(facts: object, message: string): void;
  };
}

export interface Apis {
  readonly destinations: ReadonlyMap<string, Destination>;
  /** Injected header values by api. */
  readonly secrets: ReadonlyMap<string, string>;
  /** Null: it is no forward proxy. */
  readonly proxy: { readonly allowed: readonly Allowed[]; readonly allowPrivate: boolean } | null;
  /** The credential of local clients of the proxy that show none. */
  readonly fallback: () => string | null;
  /** Those whose hooks may ask at `/tool/`. */
  readonly agents: readonly AgentTools[];
  /** The credential of an agent's local hooks that show none. */
  readonly agentCredential: (agent: AgentTools) => string | null;
}

/** One request from the agent, from its head to the last byte of its answer. Never rejects. */
export function exchange(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  firewall: Exchanges,
): Promise<void> {
  return unfailing(serve(incoming, outgoing, firewall), outgoing, firewall);
}

/** What should never happen is an answer, too. */
export async function unfailing(
  work: Promise<void>,
  outgoing: ServerResponse,
  { log }: Pick<Exchanges, 'log'>,
): Promise<void> {
  try {
    await work;
  } catch (error) {
    log.error({ err: error }, 'a request through the firewall failed');
    if (outgoing.headersSent) outgoing.destroy();
    else sendFailure(outgoing, { error: 'internal_error', message: 'the firewall failed' });
  }
}

async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  firewall: Exchanges,
): Promise<void> {
  const lines = guarded(incoming, outgoing, firewall);
  if (lines === null) return;
  const mcp = firewall.mcp();
  if (mcp !== null && incoming.url?.startsWith('/mcp/') === true) return mcp.serve(incoming, outgoing, lines);
  const agent = agentAskedAbout(incoming.url ?? '', firewall.apis().agents);
  if (agent !== undefined) return answerHook(agent, { incoming, outgoing, lines }, firewall);

  const head = await readHead(incoming, firewall.bodyLimit).catch(() => null);
  if (head === null) return; // nobody is left to answer, and nothing was asked for whole
  const permit = await permitOf({ incoming, outgoing, lines, head }, firewall);
  if (permit !== null) await forward(permit, firewall);
}

/** Sends an allowed request on, and its answer back. */
async function forward(permit: Permit, firewall: Exchanges): Promise<void> {
  const { signal } = hangingUp(permit, firewall);
  if (signal.aborted) return;
  const response = await ask(permit, firewall, signal);
  if (response !== null) await passBack(response, permit, firewall);
}

export interface Waiting {
  /** Aborted when nobody waits for the answer any more, or its runtime was stopped: then that is the answer. */
  readonly signal: AbortSignal;
  /** Takes the signal back: what comes is no answer, but a tunnel. */
  readonly over: () => void;
}

export function hangingUp(
  { outgoing, decision }: Pick<Permit, 'outgoing' | 'decision'>,
  { underWay }: Pick<Exchanges, 'underWay'>,
): Waiting {
  const hangUp = new AbortController();
  const release = underWay.answer(decision, (why) => {
    // Reset: nothing of what was still to be sent arrives.
    if (outgoing.headersSent) outgoing.socket?.resetAndDestroy();
    else sendStop(outgoing, why, decision.decision_id);
    hangUp.abort();
  });
  const closed = () => {
    release();
    hangUp.abort();
  };
  const over = () => {
    outgoing.off('close', closed);
    release();
  };
  outgoing.once('close', closed);
  if (outgoing.destroyed) closed();
  return { signal: hangUp.signal, over };
}

const NOTHING = Buffer.alloc(0);

/** The upstream's answer, once the taint that it brings is in force. */
export async function passBack(
  response: IncomingMessage,
  permit: Permit,
  firewall: Exchanges,
): Promise<void> {
  const { outgoing, answer, decision, destination } = permit;
  const clean = await tainted(permit, destination.api.id, firewall);
  if (!clean || outgoing.destroyed || outgoing.headersSent) {
    response.destroy();
    return;
  }
  const headers = downstreamHeaders(response.rawHeaders, answer, decision.decision_id, redirectsOf(permit));
  outgoing.writeHead(response.statusCode ?? 502, response.statusMessage ?? '', headers);
  // An event stream may keep its first event back for long. Not `flushHeaders`, which sends a byte above 0x7f as two.
  outgoing.write(NOTHING);
  // A broken answer is passed on as broken: `pipeline` resets the agent's connection.
  await pipeline(response, outgoing).catch(() => undefined);
}

/** A client of a proxy knows the upstream by its own name: what it is told there comes back here by itself. */
function redirectsOf({ request, destination, destinations, proxied }: Permit): Redirects | null {
  if (proxied) return null;
  return { base: destination.origin + request.target, own: destination, destinations };
}

async function ask(
  permit: Permit,
  { upstreams, log }: Exchanges,
  signal: AbortSignal,
): Promise<IncomingMessage | null> {
  try {
    return await upstreams.send(upstreamRequest(permit, signal));
  } catch (error) {
    if (!signal.aborted) unreached(error, permit, permit.destination.api.id, log);
    return null;
  }
}
