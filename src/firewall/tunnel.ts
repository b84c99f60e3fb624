import type { Socket } from 'node:net';

/**
 * Two connections as one, each end with its own back-pressure: what one side does not take is not read from the other.
 * Ends when one of them breaks, when both have ended, and when nothing has passed for `idleMs`.
 * @param over called once, when both are closed
 */
export function tunnel(agent: Socket, upstream: Socket, idleMs: number, over: () => void): void {
  const end = () => {
    agent.destroy();
    upstream.destroy();
  };
  let open = 2;
  for (const socket of [agent, upstream]) {
    socket.on('error', end);
    socket.once('close', (broken) => {
      // What the other side has still to be sent goes out first, unless there was more to come.
      if (broken || !socket.readableEnded) end();
      open -= 1;
      if (open === 0) over();
    });
  }
  upstream.setTimeout(0);
  // All that passes, in either direction, passes here.
  agent.setTimeout(idleMs, end);
  agent.pipe(upstream);
  upstream.pipe(agent);
}
