import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { startGrpc } from '../../src/server/grpc.ts';
import { allowed } from '../support/envoy.ts';
import { END_HEADERS, FRAME, fields, frame, head, opening } from './grpc-frames.ts';

/**
 * A process of its own (`node --expose-gc`): a gRPC server, beside it connections that collect garbage between the reads of
 * every turn, and clients that leave a header block half read and say GOAWAY. Prints `survived`.
 */
const collect = globalThis.gc;
if (collect === undefined) throw new Error('node must be started with --expose-gc');
const CONNECTIONS = 60;

const server = await startGrpc({
  address: '127.0.0.1:0',
  decide: async () => allowed(),
  ready: () => true,
  log: { info: () => undefined, error: () => undefined },
  drainMs: 0,
});
const echo = createServer((socket) => {
  socket.on('data', (chunk) => {
    collect();
    socket.write(chunk);
  });
}).listen(0, '127.0.0.1');
await once(echo, 'listening');
const { port } = echo.address() as { port: number };
for (let i = 0; i < 6; i += 1) {
  const socket = connect(port, '127.0.0.1', () => socket.write('x'));
  socket.on('data', (chunk) => socket.write(chunk));
}

const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`x${i}`, 'value']));
const bytes = Buffer.concat([
  opening(),
  frame(FRAME.headers, 1, Buffer.concat([head(), fields(many)]), END_HEADERS),
  frame(FRAME.goaway, 0, Buffer.alloc(8)),
]);
for (let i = 0; i < CONNECTIONS; i += 1) {
  const socket = connect(Number(server.address.split(':')[1]), '127.0.0.1');
  socket.on('error', () => undefined).resume();
  const closed = once(socket, 'close');
  socket.write(bytes);
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 5))]);
  socket.destroy();
  await closed;
}
process.stdout.write('survived\n');
process.exit(0);
