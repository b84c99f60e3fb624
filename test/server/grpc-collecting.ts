import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startGrpc } from '../../src/server/grpc.ts';
import { allowed } from '../support/envoy.ts';
import { END_HEADERS, FRAME, fields, frame, head, opening } from './grpc-frames.ts';

/**
 * `node --expose-gc grpc-collecting.ts <attack> <path of a socket>`: a gRPC server that is attacked by its own process, while connections
 * beside it collect garbage between the reads of one turn of the event loop. Prints a line when the
 * attack is over; drains and ends once stdin does.
 */
const collect = globalThis.gc;
if (collect === undefined) throw new Error('node must be started with --expose-gc');

interface Attack {
  readonly times: number;
  readonly bytes: Buffer;
  /** Reads nothing, and breaks off. */
  readonly deaf: boolean;
}

const fieldOf = (number: number, text: string) =>
  Buffer.concat([Buffer.of((number << 3) | 2, text.length), Buffer.from(text)]);
const QUESTION = fieldOf(4, 'envoy.service.auth.v3.Authorization');
const ATTACKS: Readonly<Record<string, Attack>> = {
  // Over Node's limit of 128 fields the call is reset, and its fields are handed to nobody.
  'too-many-fields': {
    times: 20,
    bytes: Buffer.concat([
      opening(),
      frame(
        FRAME.headers,
        1,
        Buffer.concat([
          head(),
          fields(Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`x-${i}`, 'value']))),
        ]),
        END_HEADERS,
      ),
      frame(FRAME.goaway, 0, Buffer.alloc(8)),
    ]),
    deaf: false,
  },
  'half-trailers': {
    times: 10,
    bytes: Buffer.concat([
      // Windows so wide that only the socket holds the answers back.
      opening(Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff])),
      frame(FRAME.window, 0, Buffer.from([0x3f, 0, 0, 0])),
      frame(FRAME.headers, 1, head('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'), END_HEADERS),
      // In one frame: Node reads no second one while a write waits.
      frame(
        FRAME.data,
        1,
        Buffer.concat(Array(300).fill(Buffer.concat([Buffer.of(0, 0, 0, 0, QUESTION.length), QUESTION]))),
      ),
      frame(FRAME.headers, 1, fields({ 'x-a': 'value', 'x-b': 'value' })),
    ]),
    deaf: true,
  },
};

async function run({ times, bytes, deaf }: Attack, path: string): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    const socket = connect(path);
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    if (!deaf) socket.resume();
    socket.write(bytes);
    await Promise.race([closed, sleep(deaf ? 200 : 500)]);
    socket.destroy();
    await closed;
  }
}

const [name = '', path = ''] = process.argv.slice(2);
const attack = ATTACKS[name];
if (attack === undefined) throw new Error(`one of ${Object.keys(ATTACKS).join(', ')}`);
const server = await startGrpc({
  address: `unix://${path}`,
  decide: async () => allowed(),
  ready: () => true,
  log: { info: () => undefined, error: () => undefined },
  drainMs: 0,
});

const sockets = new Set<Socket>();
const echo = createServer((socket) => {
  sockets.add(socket);
  socket.on('data', (chunk) => {
    collect();
    socket.write(chunk);
  });
}).listen(0, '127.0.0.1', async () => {
  for (let i = 0; i < 4; i += 1) {
    const socket = connect((echo.address() as AddressInfo).port, '127.0.0.1', () => socket.write('x'));
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('error', () => undefined);
  }
  await run(attack, path);
  for (const socket of sockets) socket.destroy();
  echo.close();
  process.stdout.write('over\n');
});
process.stdin.resume().once('end', () => void server.drain().then(() => process.exit(0)));
