import { equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { type GrpcServer, startGrpc } from '../../src/server/grpc.ts';
import { allowed } from '../support/envoy.ts';
import { FRAME, frame, NOTHING, opening, resets } from './grpc-frames.ts';

/** RFC 9113, 7. */
const ENHANCE_YOUR_CALM = 11;

/** Connections that cost more than they may; each loses its own, and nobody else's. */
describe('a flood on the gRPC port', () => {
  let server: GrpcServer;
  let decided: number;
  const logged: object[] = [];

  beforeEach(async () => {
    decided = 0;
    logged.length = 0;
    server = await startGrpc({
      address: '127.0.0.1:0',
      decide: async () => {
        decided += 1;
        return allowed();
      },
      ready: () => true,
      log: { info: () => undefined, error: (facts) => void logged.push(facts) },
      drainMs: 0,
    });
  });
  afterEach(() => server.drain());

  /** Sends frames after the preface, and gives the code of the GOAWAY that comes back. */
  async function flood(frames: readonly Buffer[], read = true): Promise<number | null> {
    const socket = connect(Number(server.address.split(':')[1]), '127.0.0.1');
    socket.on('error', () => undefined);
    const closed = once(socket, 'close');
    let rest = NOTHING;
    const code = new Promise<number | null>((resolve) => {
      closed.then(() => resolve(null));
      socket.on('data', (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk]);
        for (; rest.length >= 9; ) {
          const length = rest.readUIntBE(0, 3);
          if (rest.length < 9 + length) return;
          if (rest[3] === FRAME.goaway) resolve(rest.readUInt32BE(13));
          rest = rest.subarray(9 + length);
        }
      });
    });
    if (!read) socket.pause();
    socket.write(opening());
    socket.write(Buffer.concat(frames), () => socket.resume());
    const answer = await code;
    socket.destroy();
    await closed;
    return answer;
  }

  it('of calls that are reset at once ends that connection with ENHANCE_YOUR_CALM', async () => {
    equal(await flood(resets(12_000)), ENHANCE_YOUR_CALM);
    equal(decided, 0);
  });

  it('of calls that are reset at once is told to the operator', async () => {
    await flood(resets(12_000));
    equal(logged.length, 1);
  });

  it('leaves another connection alone', async () => {
    const other = connectHttp2(`http://${server.address}`);
    await once(other, 'connect');
    await flood(resets(12_000));
    const ponged = await new Promise((resolve) => other.ping((error) => resolve(error === null)));
    ok(ponged && !other.closed);
    other.destroy();
  });

  // What Node does by itself, as long as nobody takes it away.
  for (const [what, frames] of [
    [
      'PINGs that nobody reads the answers of',
      () => Array(50_000).fill(frame(FRAME.ping, 0, Buffer.alloc(8))),
    ],
    [
      'SETTINGS that nobody reads the answers of',
      () => Array(50_000).fill(frame(FRAME.settings, 0, NOTHING)),
    ],
  ] as const) {
    it(`of ${what} ends that connection`, async () => {
      ok((await flood(frames() as Buffer[], false)) !== 0);
    });
  }
});
