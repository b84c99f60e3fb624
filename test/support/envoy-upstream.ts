import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HeaderLine } from '../../src/schema/request.ts';

/** A request that reached the upstream, as its parser read it. */
export interface Seen {
  readonly method: string;
  readonly target: string;
  /** Names in lower case, every line apart. */
  readonly headers: readonly HeaderLine[];
  readonly trailers: readonly HeaderLine[];
  readonly body: Buffer;
}

export interface Upstream {
  readonly port: number;
  readonly origin: string;
  /** Since `clear`, in order of arrival. */
  readonly seen: Seen[];
  /** All that ever came. */
  readonly history: readonly Seen[];
  /** Called with the decision's id as soon as a request's head has come. */
  onHead: (decisionId: string) => void;
  /** Every line of a header of all requests seen. */
  lines(name: string): string[];
  clear(): void;
  close(): Promise<void>;
}

/** Answers everything, and keeps what it saw: tunnels, upgrades and what it could not read too. */
export async function startUpstream(): Promise<Upstream> {
  const seen: Seen[] = [];
  const history: Seen[] = [];
  const keep = (one: Seen) => {
    seen.push(one);
    history.push(one);
  };
  const server = createServer(async (request, response) => {
    upstream.onHead(String(request.headers['x-lemma-decision-id'] ?? ''));
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    keep(seenOf(request, Buffer.concat(chunks)));
    response.end('from the upstream');
  });
  server.on('connect', (request, socket) => {
    keep(seenOf(request, Buffer.alloc(0)));
    socket.end('HTTP/1.1 200 OK\r\n\r\n');
  });
  server.on('upgrade', (request, socket) => {
    keep(seenOf(request, Buffer.alloc(0)));
    socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: any\r\n\r\n');
  });
  server.on('clientError', (error: Error & { rawPacket?: Buffer }, socket) => {
    const target = error.rawPacket?.toString('latin1') ?? error.message;
    keep({ method: 'unreadable', target, headers: [], trailers: [], body: Buffer.alloc(0) });
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const upstream: Upstream = {
    port,
    origin: `http://127.0.0.1:${port}`,
    seen,
    history,
    onHead: () => undefined,
    lines: (name) =>
      seen.flatMap(({ headers }) => headers.filter(([n]) => n === name).map(([, value]) => value)),
    clear: () => void seen.splice(0),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return upstream;
}

function seenOf(request: IncomingMessage, body: Buffer): Seen {
  const { method = '', url = '', rawHeaders, rawTrailers } = request;
  return { method, target: url, headers: paired(rawHeaders), trailers: paired(rawTrailers), body };
}

function paired(raw: readonly string[]): HeaderLine[] {
  return raw.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), raw[i + 1] ?? ''] as const] : []));
}
