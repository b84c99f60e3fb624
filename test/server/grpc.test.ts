import assert, { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  type MethodDefinition,
  type ServiceClientConstructor,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import fc from 'fast-check';
import { createLane } from '../../src/pdp/lane.ts';
import { checkRequestFromJson, toRequest } from '../../src/request/envoy.ts';
import type { CheckRequestMessage } from '../../src/schema/check.ts';
import type { Decision } from '../../src/schema/decision.ts';
import { type GrpcOptions, type GrpcServer, startGrpc } from '../../src/server/grpc.ts';
import { AUTHORIZATION, checkMethod, loadProtos } from '../../src/server/proto.ts';
import { allowed, denied, REAL_BYTES } from '../support/envoy.ts';

const protos = loadProtos();
const method = checkMethod(protos);
const hex = (name: keyof typeof REAL_BYTES) => Buffer.from(REAL_BYTES[name], 'hex');

interface CheckAnswer {
  readonly status?: { readonly code?: number; readonly message?: string };
  readonly denied_response?: { readonly status: { readonly code: number }; readonly body: string };
  readonly ok_response?: object;
}

describe('proto', () => {
  it('decodes a CheckRequest with raw headers that the real definitions encoded', () => {
    deepEqual(toRequest(method.requestDeserialize(hex('request_raw')) as CheckRequestMessage), {
      border: 'grpc',
      method: 'POST',
      scheme: 'https',
      host: 'api.example.com',
      target: '/v1/documents/42?a=1',
      headers: [
        [':authority', 'api.example.com'],
        ['x-bytes', '\u00e9\u00ff'],
        ['x-bytes', '2'],
      ],
      body: { seen: Buffer.from([0xff, 0x00, 0x80]), partial: false, size: 3 },
      protocol: 'HTTP/2',
      source: { address: '10.0.0.7', principal: 'spiffe://acme/bot' },
      routeId: 'documents.write',
      extensions: { lemma_route: 'documents.write' },
      traceId: null,
    });
  });

  it('decodes a CheckRequest with joined headers, a pipe and an unknown size', () => {
    deepEqual(toRequest(method.requestDeserialize(hex('request_joined')) as CheckRequestMessage), {
      border: 'grpc',
      method: 'GET',
      scheme: 'http',
      host: 'api.example.com:8443',
      target: '/',
      headers: [['x-name', Buffer.from('é').toString('latin1')]],
      body: { seen: Buffer.from('hé'), partial: false, size: null },
      protocol: 'HTTP/1.1',
      source: { address: '/run/peer.sock', principal: '' },
      traceId: null,
    });
  });

  it('loses no field of the real CheckRequest when it is written again', () => {
    for (const name of ['request_raw', 'request_joined'] as const) {
      const again = method.requestSerialize(method.requestDeserialize(hex(name)));
      equal(again.length, hex(name).length);
      deepEqual(method.requestDeserialize(again), method.requestDeserialize(hex(name)));
    }
  });

  it('reads the real CheckResponses, allow and deny', () => {
    deepEqual(plain(method.responseDeserialize(hex('response_ok'))), {
      status: { message: 'allowed' },
      ok_response: {
        headers: [
          {
            header: { key: 'x-lemma-subject', value: 's' },
            append: {},
            append_action: 2,
            keep_empty_value: true,
          },
        ],
        headers_to_remove: ['x-lemma-proof'],
        response_headers_to_add: [
          { header: { key: 'set-cookie', value: 'c=1' }, append: { value: true }, keep_empty_value: true },
        ],
      },
      dynamic_metadata: {
        fields: {
          decision_id: { stringValue: 'd1' },
          deep: {
            structValue: {
              fields: {
                l: { listValue: { values: [{ numberValue: 1.5 }, { boolValue: true }] } },
                n: { nullValue: 0 },
              },
            },
          },
        },
      },
    });
    deepEqual(plain(method.responseDeserialize(hex('response_denied'))), {
      status: { code: 16, message: 'auth_required' },
      denied_response: {
        status: { code: 401 },
        headers: [
          {
            header: { key: 'content-type', value: 'application/json' },
            append: {},
            append_action: 2,
            keep_empty_value: true,
          },
        ],
        body: '{}',
      },
    });
  });

  it('gives the same AuthzRequest over gRPC and over the REST mirror', () => {
    const word = fc.string({ unit: 'binary' });
    const line = fc.record({ key: word, raw_value: fc.uint8Array() });
    const http = fc.record({
      method: word,
      path: word,
      host: word,
      scheme: word,
      size: fc.maxSafeInteger(),
      protocol: word,
    });
    const headers = fc
      .array(
        fc.tuple(
          fc.string().filter((name) => name !== '__proto__'),
          word,
        ),
      )
      .map(Object.fromEntries);
    fc.assert(
      fc.property(http, headers, fc.array(line), fc.uint8Array(), (fields, joined, lines, body) => {
        const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
        const header_map = { headers: lines.map((l) => ({ key: l.key, rawValue: base64(l.raw_value) })) };
        const json = {
          attributes: {
            request: { http: { ...fields, headers: joined, header_map, rawBody: base64(body) } },
          },
        };
        const viaJson = checkRequestFromJson(JSON.parse(JSON.stringify(json)));
        const viaWire = method.requestDeserialize(method.requestSerialize(viaJson)) as CheckRequestMessage;
        deepEqual(sorted(toRequest(viaWire)), sorted(toRequest(viaJson)));
      }),
    );
  });
});

describe('server/grpc', () => {
  const open: { close(): void }[] = [];
  const servers: GrpcServer[] = [];
  let folder: string;
  const logged: object[] = [];
  const log = { info: () => {}, error: (facts: object) => void logged.push(facts) };

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-grpc-'));
  });
  afterEach(async () => {
    for (const client of open.splice(0)) client.close();
    await Promise.all(servers.splice(0).map((server) => server.drain()));
    logged.length = 0;
  });
  after(() => rmSync(folder, { recursive: true }));

  async function start(options: Partial<GrpcOptions> = {}): Promise<GrpcServer> {
    const server = await startGrpc({
      address: '127.0.0.1:0',
      decide: async () => allowed(),
      ready: () => true,
      log,
      ...options,
    });
    servers.push(server);
    return server;
  }

  function client(server: GrpcServer): Client {
    const made = new Client(server.address, credentials.createInsecure());
    open.push(made);
    return made;
  }

  function check(
    to: Client,
    message: object = {},
    options = {},
    metadata = new Metadata(),
  ): Promise<CheckAnswer> {
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise((resolve, reject) => {
      to.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        message,
        metadata,
        options,
        (error, answer) => (error ? reject(error) : resolve(answer as CheckAnswer)),
      );
    });
  }

  function healthClient(server: GrpcServer) {
    const made = new (serviceAt('grpc.health.v1.Health'))(server.address, credentials.createInsecure());
    open.push(made);
    return made;
  }

  const healthOf = (server: GrpcServer, service: string): Promise<number> =>
    new Promise((resolve, reject) => {
      healthClient(server).Check?.({ service }, (error: ServiceError | null, answer: { status: number }) =>
        error ? reject(error) : resolve(answer.status),
      );
    });

  it('reports the port that it took', async () => {
    match((await start()).address, /^127\.0\.0\.1:[1-9]\d*$/);
  });

  it('answers with what decide said of the request', async () => {
    const server = await start({
      decide: async (request) => (request.target === '/a' ? allowed() : denied('auth_required')),
    });
    const http = (path: string) => ({ attributes: { request: { http: { path } } } });
    const [yes, no] = [await check(client(server), http('/a')), await check(client(server), http('/b'))];
    ok(yes.ok_response);
    deepEqual([no.status?.code, no.denied_response?.status.code], [16, 401]);
  });

  it('denies with internal_error when decide throws, and logs the same decision id', async () => {
    const server = await start({ decide: () => Promise.reject(new Error('broken')) });
    const answer = await check(client(server));
    const body = JSON.parse(answer.denied_response?.body ?? '{}');
    deepEqual(
      [answer.status?.code, answer.denied_response?.status.code, body.error],
      [7, 503, 'internal_error'],
    );
    equal((logged[0] as { decision_id: string }).decision_id, body.decision_id);
  });

  it('denies with internal_error when decide answers nonsense', async () => {
    const server = await start({ decide: async () => null as unknown as Decision });
    equal((await check(client(server))).denied_response?.status.code, 503);
  });

  it('denies bytes that are no CheckRequest', async () => {
    const server = await start();
    const answer = await new Promise<CheckAnswer>((resolve, reject) => {
      const raw = (bytes: Buffer) => bytes;
      client(server).makeUnaryRequest(
        method.path,
        raw,
        method.responseDeserialize,
        Buffer.from('ffffff', 'hex'),
        (error, message) => (error ? reject(error) : resolve(message as CheckAnswer)),
      );
    });
    equal(answer.denied_response?.status.code, 503);
  });

  it('tells decide how long the caller waits', async () => {
    const seen: (number | null)[] = [];
    const server = await start({
      decide: async (_, { remainingMs }) => {
        seen.push(remainingMs);
        return allowed();
      },
    });
    await check(client(server), {}, { deadline: Date.now() + 5000 });
    await check(client(server));
    const [within, without] = seen;
    ok(typeof within === 'number' && within > 0 && within <= 5000);
    equal(without, null);
  });

  it('does not decide what is past its grpc-timeout', async () => {
    let decided = 0;
    const server = await start({
      decide: async () => {
        decided++;
        return allowed();
      },
    });
    const code = await rawCheck(server.address, { 'grpc-timeout': '0m' });
    deepEqual([code, decided], [String(status.DEADLINE_EXCEEDED), 0]);
  });

  it('does not decide for a caller that gave up before its turn came', async () => {
    const asked: string[] = [];
    const first = Promise.withResolvers<void>();
    const lane = createLane(() => ({ concurrency: 1, queue: 1, queue_ms: 60_000 }));
    const server = await start({
      inTurn: (_border, caller, work) => lane.run(caller, { work, shed: () => assert.fail('shed') }),
      decide: async (request) => {
        asked.push(request.target);
        if (request.target === '/a') await first.promise;
        return allowed();
      },
    });
    const http = (path: string) => ({ attributes: { request: { http: { path } } } });
    const to = client(server);
    const held = check(to, http('/a'));
    await rejects(check(to, http('/b'), { deadline: Date.now() + 50 }), { code: status.DEADLINE_EXCEEDED });
    const last = check(to, http('/c'));
    first.resolve();
    await Promise.all([held, last]);
    deepEqual(asked, ['/a', '/c']);
  });

  it('denies what is shed, and calls it no error', async () => {
    const server = await start({
      inTurn: async (_border, _caller, _work, answer) => answer(denied('overloaded')),
      decide: () => assert.fail('decided'),
    });
    const answer = await check(client(server));
    deepEqual([answer.status?.code, answer.denied_response?.status.code], [7, 503]);
  });

  it('takes metadata of 60,000 bytes', async () => {
    const metadata = new Metadata();
    metadata.set('x-large', 'a'.repeat(60_000));
    ok((await check(client(await start()), {}, {}, metadata)).ok_response);
  });

  it('takes a body of 8 MiB', async () => {
    const sizes: (number | undefined)[] = [];
    const server = await start({
      decide: async (request) => {
        sizes.push(request.body.seen?.length);
        return allowed();
      },
    });
    const raw_body = Buffer.alloc(8 * 1024 * 1024, 1);
    await check(client(server), { attributes: { request: { http: { raw_body } } } });
    deepEqual(sizes, [raw_body.length]);
  });

  it('serves health for the server and for Authorization, as ready says', async () => {
    let ready = true;
    const server = await start({ ready: () => ready });
    const before = [await healthOf(server, ''), await healthOf(server, AUTHORIZATION)];
    ready = false;
    deepEqual([...before, await healthOf(server, AUTHORIZATION)], [1, 1, 2]);
  });

  it('tells watchers when ready changes', async () => {
    let ready = false;
    const server = await start({ ready: () => ready, drainMs: 60_000 });
    const statuses: number[] = [];
    const watch = healthClient(server).Watch?.({ service: '' });
    const ended = new Promise((resolve) => {
      watch?.on('error', resolve);
      watch?.on('end', resolve);
    });
    const serving = new Promise<void>((resolve) => {
      watch?.on('data', ({ status }: { status: number }) => {
        statuses.push(status);
        ready = true;
        if (status === 1) resolve();
      });
    });
    await serving;
    await server.drain();
    await ended;
    deepEqual(statuses, [2, 1, 2]);
  });

  it('reflects its services', async () => {
    const server = await start();
    const services = await reflect(server, { list_services: '' });
    deepEqual(services.list_services_response?.service.map((s) => s.name).sort(), [
      AUTHORIZATION,
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
    ]);
  });

  it('reflects Authorization’s file with all that it imports, and every import is among them', async () => {
    const files = await reflectedFiles(await start());
    const names = files.map((file) => file.name);
    ok(files.some((file) => (file.dependency ?? []).includes('envoy_config_core_v3.proto')));
    deepEqual(
      files.flatMap((file) => (file.dependency ?? []).filter((name) => !names.includes(name))),
      [],
    );
  });

  it('reflects map entries under the names that clients demand', async () => {
    const files = await reflectedFiles(await start());
    const context = files
      .flatMap((file) => file.messageType)
      .find((type) => type.name === 'AttributeContext');
    ok(context?.nestedType?.some((type) => type.name === 'ContextExtensionsEntry'));
    equal(
      context?.field.find((field) => field.name === 'context_extensions')?.typeName,
      '.envoy.service.auth.v3.AttributeContext.ContextExtensionsEntry',
    );
  });

  async function reflectedFiles(server: GrpcServer): Promise<ReflectedFile[]> {
    const codec = loadSync('google/protobuf/descriptor.proto')['google.protobuf.FileDescriptorProto'];
    const answer = await reflect(server, { file_containing_symbol: AUTHORIZATION });
    const bytes = answer.file_descriptor_response?.file_descriptor_proto ?? [];
    return bytes.map(
      (file) => (codec as MessageTypeDefinition<object, object>).deserialize(file) as ReflectedFile,
    );
  }

  function reflect(server: GrpcServer, request: object) {
    const made = new (serviceAt('grpc.reflection.v1.ServerReflection'))(
      server.address,
      credentials.createInsecure(),
    );
    open.push(made);
    return new Promise<Reflected>((resolve, reject) => {
      const stream = made.ServerReflectionInfo?.();
      stream?.on('data', (answer: Reflected) => {
        resolve(answer);
        stream.end();
      });
      stream?.on('error', reject);
      stream?.write(request);
    });
  }

  it('lets requests under way finish, then refuses new ones', async () => {
    const begun = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const server = await start({
      decide: async () => {
        begun.resolve();
        await gate.promise;
        return allowed();
      },
    });
    const to = client(server);
    const underWay = check(to);
    await begun.promise;
    const drained = server.drain();
    await rejects(check(client(server), {}, { deadline: Date.now() + 2000 }), { code: status.UNAVAILABLE });
    gate.resolve();
    ok((await underWay).ok_response);
    await drained;
  });

  it('does not wait for ever for a request that never ends', async () => {
    const begun = Promise.withResolvers<void>();
    const server = await start({
      drainMs: 50,
      decide: () => {
        begun.resolve();
        return new Promise(() => {});
      },
    });
    const cut = rejects(check(client(server)));
    await begun.promise;
    await server.drain();
    await cut;
  });

  it('serves on a unix socket that others cannot open', async () => {
    const path = join(folder, 'pdp.sock');
    const server = await start({ address: `unix://${path}` });
    equal(statSync(path).mode & 0o777, 0o660);
    ok((await check(client(server))).ok_response);
  });

  it('takes over a socket file that nobody answers on', async () => {
    const path = join(folder, 'stale.sock');
    await leaveStaleSocket(path);
    const server = await start({ address: `unix://${path}` });
    ok((await check(client(server))).ok_response);
  });

  it('leaves a socket alone that somebody answers on', async () => {
    const address = `unix://${join(folder, 'live.sock')}`;
    const first = await start({ address });
    await rejects(start({ address }), /another process listening on it/);
    ok((await check(client(first))).ok_response);
  });

  it('leaves a file alone that is no socket', async () => {
    const path = join(folder, 'file');
    writeFileSync(path, 'kept');
    await rejects(start({ address: `unix://${path}` }), /is not a socket/);
    equal(statSync(path).size, 4);
  });

  it('names the setting when the port is taken', async () => {
    const { address } = await start();
    await rejects(start({ address }), /listen\.grpc: .* cannot be bound/);
  });

  for (const address of ['9191', 'unix:pdp.sock', 'unix://', 'http://127.0.0.1:9191', '127.0.0.1:99999']) {
    it(`refuses the address ${address}`, () => rejects(start({ address }), { name: 'InputError' }));
  }
});

interface ReflectedFile {
  readonly name: string;
  readonly dependency?: readonly string[];
  readonly messageType: readonly {
    readonly name: string;
    readonly field: readonly { readonly name: string; readonly typeName?: string }[];
    readonly nestedType?: readonly { readonly name: string }[];
  }[];
}

interface Reflected {
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Buffer[] };
}

function serviceAt(name: string): ServiceClientConstructor {
  const found = name
    .split('.')
    .reduce<unknown>((at, part) => (at as Record<string, unknown>)[part], loadPackageDefinition(protos));
  return found as ServiceClientConstructor;
}

/** Without the prototypes that the decoder gives. */
function plain(message: object): unknown {
  return JSON.parse(JSON.stringify(message));
}

/** Members of a map have no order on the wire. */
function sorted(request: ReturnType<typeof toRequest>) {
  const seen = request.body.seen === null ? null : Buffer.from(request.body.seen).toString('hex');
  return {
    ...request,
    body: { ...request.body, seen },
    headers: request.headers.map((l) => l.join('\n')).sort(),
  };
}

/** One Check with an empty message over bare HTTP/2; resolves to the grpc-status. */
function rawCheck(address: string, headers: Record<string, string>): Promise<string> {
  const session = connectHttp2(`http://${address}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': (method as MethodDefinition<object, object>).path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  return new Promise<string>((resolve, reject) => {
    const see = (fields: Record<string, unknown>) => {
      if (fields['grpc-status'] !== undefined) resolve(String(fields['grpc-status']));
    };
    stream.on('response', see).on('trailers', see).on('error', reject).resume();
    stream.end(Buffer.alloc(5));
  }).finally(() => session.close());
}

/** What a killed process leaves: a socket file without a listener. */
async function leaveStaleSocket(path: string): Promise<void> {
  const script = `require('node:net').createServer().listen(process.argv[1], () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}
