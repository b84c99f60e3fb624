import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Exchanges, unfailing, type Waiting } from './exchange.ts';
import { type Permit, tainted } from './permit.ts';
import { tunnel } from './tunnel.ts';

/** What CONNECT and WebSockets have in common: Node hands their connection over, and it may become a tunnel. */

/** Serves such a request. Never rejects. */
export function handedOver(
  incoming: IncomingMessage,
  socket: Socket,
  firewall: Exchanges,
  serve: (outgoing: ServerResponse) => Promise<void>,
): Promise<void> {
  const outgoing = answerOn(incoming, socket);
  return unfailing(serve(outgoing), outgoing, firewall);
}

/** The last answer on the connection, unless it becomes a tunnel. */
function answerOn(incoming: IncomingMessage, socket: Socket): ServerResponse {
  // Whoever takes the connection on sees it closed.
  socket.on('error', () => undefined);
  const outgoing = new ServerResponse(incoming);
  outgoing.shouldKeepAlive = false;
  outgoing.assignSocket(socket);
  // No `destroySoon`: for a request with a body, newer Nodes give a stream that is no socket.
  outgoing.once('finish', () => socket.end(() => socket.destroy()));
  return outgoing;
}

export interface Ends {
  readonly agent: Socket;
  /** What came behind the request's head. */
  readonly ahead: Buffer;
  readonly upstream: Socket;
  /** The upstream's. */
  readonly name: string;
}

/**
 * Joins two connections, once the taint that passes through them is in force, until one of them is at its end or the runtime
 * may go on no more.
 *
 * @param greet gives the agent the head of its answer, and frees its connection
 */
export async function join(
  permit: Pick<Permit, 'outgoing' | 'decision'>,
  ends: Ends,
  { signal, over }: Waiting,
  greet: () => void,
  firewall: Exchanges,
): Promise<void> {
  const { agent, ahead, upstream, name } = ends;
  const clean = await tainted(permit, name, firewall);
  if (!clean || signal.aborted || upstream.destroyed) {
    upstream.destroy();
    if (clean) agent.destroy();
    return;
  }
  greet();
  if (ahead.length > 0) agent.unshift(ahead);
  openTunnel(ends, permit, firewall);
  over();
}

function openTunnel(
  { agent, upstream, name }: Ends,
  { decision }: Pick<Permit, 'decision'>,
  { underWay, idleMs, log }: Exchanges,
): void {
  const facts = { api: name, decision_id: decision.decision_id };
  let over: () => void = () => undefined;
  tunnel(agent, upstream, idleMs, () => {
    over();
    log.info(facts, 'a tunnel is closed');
  });
  log.info(facts, 'a tunnel is open');
  over = underWay.tunnel(decision, (why) => {
    log.info({ ...facts, why }, 'a tunnel was ended');
    // Reset: nothing of what was still to be sent arrives.
    agent.resetAndDestroy();
    upstream.resetAndDestroy();
  });
}
