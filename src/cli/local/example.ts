import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ApiEntry } from '../../schema/config.ts';

/**
 * What is behind the firewall until somebody names an api of their own: a server in the same process, on loopback, that says
 * what reached it. So the first request needs no network, and shows what the upstream gets to see.
 */
export interface Example {
  readonly api: ApiEntry;
  close(): Promise<void>;
}

export const EXAMPLE_API = 'hello';
/** Part of the proofs' audience: where it is taken by another program, they are good until the next start only. */
const PORT = 8788;

export async function startExample(port = PORT): Promise<Example> {
  const server = createServer((request, response) => {
    request.resume();
    const { method, url, headers } = request;
    const identity = Object.fromEntries(
      Object.entries(headers).filter(([name]) => name.startsWith('x-lemma-')),
    );
    const body = JSON.stringify({ hello: 'from the upstream behind the firewall', method, url, identity });
    response.writeHead(200, { 'content-type': 'application/json' }).end(`${body}\n`);
  });
  const bound = await listen(server, port).catch(() => listen(server, 0));
  return {
    api: {
      id: EXAMPLE_API,
      base_url: `http://127.0.0.1:${bound}`,
      methods: ['GET', 'POST'],
      path_prefixes: ['/'],
      scope: ['hello.use'],
      risk: 'low',
      action: 'hello.use',
    },
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
