import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';

/**
 * What the firewall is held against: a plain reverse proxy, Node's HTTP server and undici's pool, that decides nothing.
 * Its argument is the upstream's origin. Says its port, and ends with its standard input.
 */
const pool = new Pool(process.argv[2] ?? '', { connections: 64 });
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'host',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
]);

const server = createServer((request, response) => {
  const headers = Object.fromEntries(
    Object.entries(request.headers).filter(([name]) => !HOP_BY_HOP.has(name)),
  );
  const { method = 'GET', url: path = '/' } = request;
  const body = method === 'GET' || method === 'HEAD' ? null : request;
  pool
    .stream({ method, path, headers, body, opaque: response }, ({ statusCode, headers: answered }) => {
      const kept = Object.entries(answered).filter(([name]) => !HOP_BY_HOP.has(name));
      return response.writeHead(statusCode, Object.fromEntries(kept));
    })
    .catch(() => response.destroy());
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
process.stdin.resume().once('end', () => process.exit());
