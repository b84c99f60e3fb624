import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { toResponse } from '../request/firewall.ts';
import { toConnect } from '../request/proxy.ts';
import type { HostPort } from '../schema/proxy.ts';
import { sendDenial, sendFailure } from './answer.ts';
import { type Exchanges, hangingUp } from './exchange.ts';
import { handedOver, join } from './handed-over.ts';
import { guarded, isHere, type Permit, receivedOf, unreached } from './permit.ts';

/**
 * CONNECT (RFC 9110, section 9.3.6): decided on like any request, by the route of the proxy's entry that covers host
 * and port, and then a tunnel, whose bytes nobody looks into. Never rejects.
 * @param ahead what came behind the request's head
 */
export function connectThrough(
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
  agent: Socket,
  ahead: Buffer,
  firewall: Exchanges,
): Promise<void> {
  const lines = guarded(incoming, outgoing, firewall);
  if (lines === null) return;
  const { proxy, fallback } = firewall.apis();
  const received = receivedOf(incoming, lines, { bytes: Buffer.alloc(0), complete: true });
  const own = proxy !== null && isHere(received.address) ? fallback : () => null;
  const { request, to } = toConnect(received, proxy?.allowed ?? null, own);
  const decision = await firewall.decide(request);
  const answer = toResponse(decision, request);
  if (answer.verdict === 'deny') return sendDenial(outgoing, answer, decision.decision_id, true);
  if (to === null) {
    const message = 'there is no tunnel to this host and port';
    return sendFailure(outgoing, { error: 'route_unknown', message, decisionId: decision.decision_id });
  }
  const wanted = { ...to, allowPrivate: proxy?.allowPrivate === true };
  await forward({ outgoing, decision }, wanted, agent, ahead, firewall);
}

async function forward(
  permit: Pick<Permit, 'outgoing' | 'decision'>,
  wanted: HostPort & { readonly allowPrivate: boolean },
  agent: Socket,
  ahead: Buffer,
  firewall: Exchanges,
): Promise<void> {
  const { outgoing, decision } = permit;
  const name = `${wanted.host}:${wanted.port}`;
  const waiting = hangingUp(permit, firewall);
  if (waiting.signal.aborted) return;
  const upstream = await open(permit, wanted, name, waiting.signal, firewall);
  if (upstream === null) return;
  const greet = () => {
    outgoing.detachSocket(agent);
    agent.write(
      `HTTP/1.1 200 Connection established\r\nx-lemma-decision-id: ${decision.decision_id}\r\n\r\n`,
    );
  };
  await join(permit, { agent, ahead, upstream, name }, waiting, greet, firewall);
}

async function open(
  permit: Pick<Permit, 'outgoing' | 'decision'>,
  wanted: HostPort & { readonly allowPrivate: boolean },
  name: string,
  signal: AbortSignal,
  { upstreams, log }: Exchanges,
): Promise<Socket | null> {
  const host = wanted.host.replace(/^\[|\]$/g, '');
  try {
    return await upstreams.connect({ ...wanted, host, signal });
  } catch (error) {
    if (!signal.aborted) unreached(error, permit, name, log);
    return null;
  }
}
