import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP relay that can stop passing bytes on, while its connections stay open. */
export interface Relay {
  readonly port: number;
  /** `all`: what stands behind it looks hung. `answers`: it is heard, and its answers wait here. */
  hold(what: 'all' | 'answers'): void;
  /** Passes on what has waited. */
  release(): void;
  close(): Promise<void>;
}

export async function startRelay(to: number): Promise<Relay> {
  const pairs = new Set<readonly [asking: Socket, answering: Socket]>();
  let held: 'all' | 'answers' | null = null;
  const apply = ([asking, answering]: readonly [Socket, Socket]) => {
    if (held === 'all') asking.pause();
    else asking.resume();
    if (held === null) answering.resume();
    else answering.pause();
  };
  const server = createServer((asking) => {
    const answering = connect(to, '127.0.0.1');
    const pair = [asking, answering] as const;
    pairs.add(pair);
    for (const [from, other] of [pair, [answering, asking] as const]) {
      from.on('data', (chunk) => void other.write(chunk));
      from.on('error', () => other.destroy());
      from.on('close', () => {
        other.destroy();
        pairs.delete(pair);
      });
    }
    apply(pair);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const setHeld = (what: typeof held) => {
    held = what;
    for (const pair of pairs) apply(pair);
  };
  return {
    port: (server.address() as AddressInfo).port,
    hold: setHeld,
    release: () => setHeld(null),
    async close() {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
