import { deepEqual, equal, throws } from 'node:assert/strict';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { deflateSync, gzipSync } from 'node:zlib';
import { type CallDeadline, type GrpcServer, startGrpc } from '../../src/server/grpc.ts';
import { frame, messageReader, timeoutMs } from '../../src/server/grpc-wire.ts';
import { AUTHORIZATION, checkMethod, loadProtos } from '../../src/server/proto.ts';
import { allowed } from '../support/envoy.ts';

const method = checkMethod(loadProtos());
const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const CHECK = `/${AUTHORIZATION}/Check`;
const HEALTH = '/grpc.health.v1.Health/Check';
const message = method.requestSerialize({ attributes: { request: { http: { path: '/a' } } } });

/** As it comes where the compressed flag is set. */
function packed(bytes: Uint8Array): Buffer {
  const framed = frame(bytes);
  framed[0] = 1;
  return framed;
}

interface Ended {
  readonly http: string;
  readonly grpc: string | undefined;
  readonly accepts: string | undefined;
  readonly body: Buffer;
}

/** What protocol-level clients see: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
describe('server/grpc on the wire', () => {
  let server: GrpcServer;
  let session: ClientHttp2Session;
  let seen: string[];
  let deadlines: (number | null)[];
  let pending: Promise<void>;
  let begun: () => void;

  beforeEach(async () => {
    seen = [];
    deadlines = [];
    pending = Promise.resolve();
    begun = () => undefined;
    server = await startGrpc({
      address: '127.0.0.1:0',
      decide: async (request, { remainingMs }: CallDeadline) => {
        seen.push(request.target);
        deadlines.push(remainingMs);
        begun();
        await pending;
        return allowed();
      },
      ready: () => true,
      log: { info: () => undefined, error: () => undefined },
    });
    session = connect(`http://${server.address}`);
    session.on('error', () => undefined);
    await once(session, 'connect');
  });
  afterEach(async () => {
    session.close();
    await server.drain();
  });

  function open(path: string, headers: OutgoingHttpHeaders = {}, over = session): ClientHttp2Stream {
    return over.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
  }

  function ended(stream: ClientHttp2Stream): Promise<Ended> {
    const fields: Record<string, unknown> = {};
    const parts: Buffer[] = [];
    stream.on('response', (headers) => Object.assign(fields, headers));
    stream.on('trailers', (trailers) => Object.assign(fields, trailers));
    stream.on('data', (chunk: Buffer) => parts.push(chunk));
    const text = (name: string) => (fields[name] === undefined ? undefined : String(fields[name]));
    return new Promise((resolve, reject) => {
      stream.on('error', reject);
      stream.on('close', () =>
        resolve({
          http: text(':status') ?? '',
          grpc: text('grpc-status'),
          accepts: text('grpc-accept-encoding'),
          body: Buffer.concat(parts),
        }),
      );
    });
  }

  function ask(path: string, body: Uint8Array, headers: OutgoingHttpHeaders = {}): Promise<Ended> {
    const stream = open(path, headers);
    stream.end(body);
    return ended(stream);
  }

  const codeOf = async (asked: Promise<Ended>) => (await asked).grpc;

  it('answers one message with one message, and OK in the trailers', async () => {
    const { http, grpc, body } = await ask(CHECK, frame(message));
    deepEqual([http, grpc, body.readUInt32BE(1)], ['200', '0', body.length - 5]);
    deepEqual(seen, ['/a']);
  });

  it('waits once, however many messages have to, for whoever reads slowly', async () => {
    const warnings: string[] = [];
    const warned = (warning: Error) => void warnings.push(warning.name);
    process.on('warning', warned);
    const symbol = Buffer.from(AUTHORIZATION);
    const question = frame(Buffer.concat([Buffer.of(0x22, symbol.length), symbol]));
    const { grpc, body } = await ask(REFLECTION, Buffer.concat(Array.from({ length: 40 }, () => question)));
    process.off('warning', warned);
    let answers = 0;
    for (let at = 0; at < body.length; at += 5 + body.readUInt32BE(at + 1)) answers += 1;
    deepEqual([grpc, answers, warnings], ['0', 40, []]);
  });

  it('takes a message that comes byte by byte', async () => {
    const stream = open(CHECK);
    const answer = ended(stream);
    for (const byte of frame(message)) stream.write(Buffer.of(byte));
    stream.end();
    equal(await codeOf(answer), '0');
    deepEqual(seen, ['/a']);
  });

  for (const [encoding, pack] of [
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ] as const) {
    it(`takes a message compressed with ${encoding}`, async () => {
      equal(await codeOf(ask(CHECK, packed(pack(message)), { 'grpc-encoding': encoding })), '0');
      deepEqual(seen, ['/a']);
    });
  }

  it('takes an uncompressed message of a call that may compress', async () => {
    equal(await codeOf(ask(CHECK, frame(message), { 'grpc-encoding': 'gzip' })), '0');
  });

  it('says UNIMPLEMENTED, and what it accepts, to an encoding that it does not know', async () => {
    const { grpc, accepts } = await ask(CHECK, packed(message), { 'grpc-encoding': 'snappy' });
    deepEqual([grpc, accepts, seen], ['12', 'identity,deflate,gzip', []]);
  });

  it('says INTERNAL to a compressed message without its encoding', async () => {
    equal(await codeOf(ask(CHECK, packed(gzipSync(message)))), '13');
    deepEqual(seen, []);
  });

  it('says RESOURCE_EXHAUSTED to what decompresses to more than a message may have', async () => {
    const bomb = gzipSync(Buffer.alloc(17 * 1024 * 1024));
    equal(await codeOf(ask(CHECK, packed(bomb), { 'grpc-encoding': 'gzip' })), '8');
  });

  it('says RESOURCE_EXHAUSTED to a message that is too long, before it has come', async () => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(16 * 1024 * 1024 + 1, 1);
    const stream = open(CHECK);
    stream.write(head);
    equal(await codeOf(ended(stream)), '8');
  });

  it('says UNIMPLEMENTED to a second message, and to none', async () => {
    const two = Buffer.concat([frame(message), frame(message)]);
    deepEqual([await codeOf(ask(CHECK, two)), await codeOf(ask(CHECK, Buffer.alloc(0)))], ['12', '12']);
    deepEqual(seen, []);
  });

  it('says UNIMPLEMENTED to a message that ends early', async () => {
    equal(await codeOf(ask(CHECK, frame(message).subarray(0, -1))), '12');
  });

  for (const path of ['/envoy.service.auth.v2.Authorization/Check', '/', '/constructor']) {
    it(`says UNIMPLEMENTED to ${path}`, async () => {
      deepEqual([(await ask(path, frame(message))).grpc, seen], ['12', []]);
    });
  }

  it('says 405 to other methods and 415 to other content types', async () => {
    const get = open(CHECK, { ':method': 'GET' });
    get.end();
    const other = ask(CHECK, frame(message), { 'content-type': 'application/grpc-web' });
    deepEqual([(await ended(get)).http, (await other).http, seen], ['405', '415', []]);
  });

  it('takes application/grpc+proto', async () => {
    equal(await codeOf(ask(CHECK, frame(message), { 'content-type': 'application/grpc+proto' })), '0');
  });

  it('decides although grpc-timeout cannot be read', async () => {
    equal(await codeOf(ask(CHECK, frame(message), { 'grpc-timeout': 'soon' })), '0');
    deepEqual(deadlines, [null]);
  });

  it('decides nothing of a call that was reset before its end', async () => {
    const stream = open(CHECK);
    stream.write(frame(message));
    stream.close(constants.NGHTTP2_CANCEL);
    await new Promise((resolve) => stream.on('close', resolve));
    equal(await codeOf(ask(HEALTH, frame(Buffer.alloc(0)))), '0');
    deepEqual(seen, []);
  });

  it('outlives a caller that goes while its call is decided', async () => {
    const release = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    pending = release.promise;
    begun = reached.resolve;
    const other = connect(`http://${server.address}`);
    other.on('error', () => undefined);
    const stream = open(CHECK, {}, other);
    stream.on('error', () => undefined);
    stream.end(frame(message));
    await reached.promise;
    other.destroy();
    release.resolve();
    equal(await codeOf(ask(CHECK, frame(message))), '0');
  });

  it('answers PING', async () => {
    const payload = Buffer.from('12345678');
    const back = await new Promise<Buffer>((resolve, reject) => {
      session.ping(payload, (error, _, echoed) => (error === null ? resolve(echoed) : reject(error)));
    });
    deepEqual(back, payload);
  });

  it('drains with GOAWAY, and ends when the last call has been answered', async () => {
    const release = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    pending = release.promise;
    begun = reached.resolve;
    const answer = ask(CHECK, frame(message));
    await reached.promise;
    const told = new Promise<number>((resolve) => session.on('goaway', resolve));
    const drained = server.drain();
    equal(await told, constants.NGHTTP2_NO_ERROR);
    release.resolve();
    equal(await codeOf(answer), '0');
    await drained;
  });

  it('says UNIMPLEMENTED to a watcher that names nothing', async () => {
    equal(await codeOf(ask('/grpc.health.v1.Health/Watch', Buffer.alloc(0))), '12');
  });

  it('reads no second message of a watcher', async () => {
    const stream = open('/grpc.health.v1.Health/Watch');
    const answer = ended(stream);
    stream.write(Buffer.concat([frame(Buffer.alloc(0)), frame(Buffer.alloc(0))]));
    equal(await codeOf(answer), '12');
  });
});

describe('server/grpc-wire', () => {
  it('takes messages apart however they are cut', () => {
    const bytes = Buffer.concat([Buffer.from('a'), Buffer.alloc(0), Buffer.from('bcd')].map(frame));
    for (let cut = 1; cut < bytes.length; cut++) {
      const reader = messageReader(16);
      const found: string[] = [];
      for (let at = 0; at < bytes.length; at += cut) {
        reader.push(bytes.subarray(at, at + cut));
        for (let next = reader.next(); next !== null; next = reader.next()) found.push(String(next.bytes));
      }
      deepEqual([found, reader.empty], [['a', '', 'bcd'], true]);
    }
  });

  it('refuses a message over its limit', () => {
    messageReader(3).push(frame(Buffer.alloc(3)));
    throws(() => messageReader(3).push(frame(Buffer.alloc(4))), { code: 8 });
  });

  it('reads every unit of grpc-timeout', () => {
    deepEqual(
      ['2H', '2M', '2S', '2m', '2000u', '2000000n'].map(timeoutMs),
      [7_200_000, 120_000, 2000, 2, 2, 2],
    );
    deepEqual(['', '2', 'S', '-2S', '2s', '123456789S', '2S '].map(timeoutMs), Array(7).fill(null));
  });
});
