import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Decision } from '../../src/schema/decision.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import { type GrpcServer, startGrpc } from '../../src/server/grpc.ts';
import { installEnvoy, type RunningEnvoy, startEnvoy } from '../../tools/envoy/envoy.ts';
import { allowed, denied } from '../support/envoy.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** What the upstream saw: name and value of each header line, and the length of the body. */
interface Seen {
  readonly path: string;
  readonly headers: [string, string][];
  readonly bytes: number;
}

/** The border as a real Envoy sees it: what it sends, and what it makes of our answers. The decisions are scripted. */
describe('Envoy in front of the gRPC server', function () {
  this.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), 'lemma-e2e-'));
  let upstream: Server;
  let lemma: GrpcServer;
  let overSocket: GrpcServer;
  let envoy: RunningEnvoy;
  let envoyOverSocket: RunningEnvoy;
  let script: (request: AuthzRequest) => Decision = () => denied('policy_denied');
  let asked: AuthzRequest[] = [];
  let reached: Seen[] = [];

  const options = {
    decide: async (request: AuthzRequest) => {
      asked.push(request);
      return script(request);
    },
    ready: () => true,
    log: { info: () => {}, error: () => {} },
  };

  before(async function () {
    const binary = await installEnvoy().catch((error: Error) => {
      if (process.env.CI === 'true') throw error;
      console.warn(`SKIPPED, no real Envoy: ${error.message}`);
      return this.skip();
    });
    upstream = createServer(echo);
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    const port = (upstream.address() as AddressInfo).port;
    const socket = join(folder, 'pdp.sock');
    lemma = await startGrpc({ ...options, address: '127.0.0.1:0' });
    overSocket = await startGrpc({ ...options, address: `unix://${socket}` });
    const lemmaPort = Number(lemma.address.split(':')[1]);
    envoy = await startEnvoy(binary, { lemma: lemmaPort, upstream: port });
    envoyOverSocket = await startEnvoy(binary, { socket, cluster: 'lemma_socket', upstream: port });
  });

  after(async () => {
    await Promise.all([envoy?.stop(), envoyOverSocket?.stop(), lemma?.drain(), overSocket?.drain()]);
    upstream?.close();
    rmSync(folder, { recursive: true });
  });

  beforeEach(() => {
    asked = [];
    reached = [];
  });

  function echo(request: IncomingMessage, response: import('node:http').ServerResponse): void {
    const pairs = request.rawHeaders;
    const headers = pairs.flatMap((name, i) =>
      i % 2 === 0 ? [[name, pairs[i + 1] ?? ''] as [string, string]] : [],
    );
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => {
      reached.push({ path: request.url ?? '', headers, bytes });
      response
        .setHeader('set-cookie', 'upstream=1')
        .setHeader('cache-control', 'public')
        .end('from the upstream');
    });
  }

  interface Sent {
    readonly method?: string;
    readonly path?: string;
    readonly headers?: readonly string[];
    readonly body?: Buffer;
    readonly through?: RunningEnvoy;
  }

  function send({
    method = 'GET',
    path = '/v1/documents/42',
    headers = [],
    body,
    through = envoy,
  }: Sent = {}) {
    return new Promise<Answer>((resolve, reject) => {
      const length = body === undefined ? [] : ['content-length', String(body.length)];
      const lines = ['host', 'api.example.com', ...length, ...headers];
      const request = httpRequest({
        host: '127.0.0.1',
        port: through.port,
        method,
        path,
        headers: lines,
        agent: false,
      });
      request.on('error', reject).on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      });
      request.end(body);
    });
  }

  const upstreamSaw = (name: string) =>
    reached.flatMap((seen) =>
      seen.headers.filter(([n]) => n.toLowerCase() === name).map(([, value]) => value),
    );

  it('forwards an allowed request with who acts', async () => {
    script = () => allowed();
    equal((await send()).body, 'from the upstream');
    deepEqual(
      ['x-lemma-subject', 'x-lemma-runtime-id', 'x-lemma-scope', 'x-lemma-decision-id'].map(upstreamSaw),
      [['did:lemma:ppid_1'], ['bot-1'], ['documents.read pay.send'], ['dec_1']],
    );
  });

  it('replaces identity headers that the client sent, doubled ones too', async () => {
    script = () => allowed({ strip: ['x-lemma-subject', 'x-lemma-proof'] });
    await send({
      headers: ['x-lemma-subject', 'root', 'X-Lemma-Subject', 'admin', 'x-lemma-proof', 'secret'],
    });
    deepEqual([upstreamSaw('x-lemma-subject'), upstreamSaw('x-lemma-proof')], [['did:lemma:ppid_1'], []]);
  });

  it('removes identity headers of the client that a public route has no value for', async () => {
    script = () => allowed({ actor: null });
    await send({ headers: ['x-lemma-subject', 'root', 'x-lemma-run-id', 'evil', 'x-lemma-observed', 'no'] });
    deepEqual(['x-lemma-subject', 'x-lemma-run-id', 'x-lemma-observed'].map(upstreamSaw), [[], [], []]);
  });

  it('sends rewritten fields instead of all lines of the client’s', async () => {
    script = () => allowed({ strip: ['signature'], rewrite: [['signature', 'other=:YQ==:']] });
    await send({ headers: ['signature', 'lemma=:Yg==:', 'signature', 'other=:YQ==:'] });
    deepEqual(upstreamSaw('signature'), ['other=:YQ==:']);
  });

  it('sets and removes what the policy says, an empty value too', async () => {
    const result = {
      allow: true,
      reason: 'allowed',
      reasons: [],
      headers: { 'x-team': 'blue', 'x-empty': '' },
      request_headers_to_remove: ['x-internal'],
    };
    script = () => allowed({ result });
    await send({ headers: ['x-internal', '1', 'x-team', 'red', 'x-empty', 'client'] });
    deepEqual(['x-team', 'x-empty', 'x-internal'].map(upstreamSaw), [['blue'], [''], []]);
  });

  it('overwrites the upstream’s response headers and adds to its cookies', async () => {
    const response_headers_to_add = { 'cache-control': 'no-store', 'set-cookie': 'policy=1' };
    script = () =>
      allowed({ result: { allow: true, reason: 'allowed', reasons: [], response_headers_to_add } });
    const { headers } = await send();
    deepEqual([headers['cache-control'], headers['set-cookie']], ['no-store', ['upstream=1', 'policy=1']]);
  });

  it('lets an observed denial through, and tells the upstream', async () => {
    script = () => allowed({ actor: null, observed: true, reason: 'scope_denied' });
    equal((await send()).status, 200);
    deepEqual(upstreamSaw('x-lemma-observed'), ['scope_denied']);
  });

  it('answers a denial with its status and body, and the upstream sees nothing', async () => {
    script = () => denied('auth_required');
    const { status, headers, body } = await send();
    deepEqual(
      [status, headers['content-type'], JSON.parse(body).error],
      [401, 'application/json', 'auth_required'],
    );
    equal(reached.length, 0);
  });

  for (const http_status of [404, 418, 429, 451, 599]) {
    it(`answers a policy’s own status ${http_status}`, async () => {
      const result = {
        allow: false,
        reason: 'x_own',
        reasons: ['x_own'],
        http_status,
        headers: { 'retry-after': '5' },
        body: 'no',
      };
      script = () => denied('x_own', { result });
      const { status, headers, body } = await send();
      deepEqual([status, headers['retry-after'], body], [http_status, '5', 'no']);
    });
  }

  it('denies when decide fails', async () => {
    script = () => {
      throw new Error('broken');
    };
    const { status, body } = await send();
    deepEqual([status, JSON.parse(body).error, reached.length], [503, 'internal_error', 0]);
  });

  it('forwards nothing when an answer holds a header that is none', async () => {
    script = () => allowed({ rewrite: [['signature', 'a\r\nx-admin: 1']] });
    const { status } = await send();
    deepEqual([status, reached.length], [500, 0]);
  });

  it('writes decision id and reason into the access log', async () => {
    script = () => denied('scope_denied', { decision_id: 'dec_for_the_log' });
    await send();
    // Lines of requests before this one may be flushed only now.
    let lines = await envoy.accessLog(1);
    const ours = () => lines.find((l) => l.decision_id === 'dec_for_the_log');
    while (ours() === undefined && lines.length > 0) lines = await envoy.accessLog(1);
    const line = ours();
    deepEqual([line?.reason, line?.status], ['scope_denied', 403]);
  });

  it('sees each line of a doubled header', async () => {
    script = () => denied('header_ambiguous');
    await send({ headers: ['x-lemma-proof', 'a', 'x-lemma-proof', 'b'] });
    const lines = asked[0]?.headers.filter(([name]) => name === 'x-lemma-proof').map(([, value]) => value);
    deepEqual(lines, ['a', 'b']);
  });

  it('sees method, host, target, protocol, source and authority', async () => {
    script = () => denied('policy_denied');
    await send({ method: 'DELETE', path: '/v1/documents/42?a=1' });
    const request = asked[0];
    deepEqual(
      [
        request?.method,
        request?.scheme,
        request?.host,
        request?.target,
        request?.protocol,
        request?.source.address,
      ],
      ['DELETE', 'http', 'api.example.com', '/v1/documents/42?a=1', 'HTTP/1.1', '127.0.0.1'],
    );
    ok(request?.headers.some(([name, value]) => name === ':authority' && value === 'api.example.com'));
  });

  it('sees the trace id', async () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    await send({ headers: ['traceparent', `00-${trace}-00f067aa0ba902b7-01`] });
    equal(asked[0]?.traceId, trace);
  });

  it('sees the bytes of a whole body, and forwards them', async () => {
    script = () => allowed();
    const body = Buffer.from([0xff, 0x00, 0x80]);
    await send({ method: 'POST', body });
    deepEqual([asked[0]?.body, reached[0]?.bytes], [{ seen: body, partial: false, size: 3 }, 3]);
  });

  it('sees that a large body was cut, and forwards it whole', async () => {
    script = () => allowed();
    const body = Buffer.alloc(3 * 1024 * 1024, 1);
    await send({ method: 'POST', body });
    equal(asked[0]?.body.partial, true);
    ok((asked[0]?.body.seen?.length ?? 0) < body.length);
    equal(reached[0]?.bytes, body.length);
  });

  it('is not told that a large body is whole by a client that says so', async () => {
    script = () => denied('body_truncated');
    const headers = ['x-envoy-auth-partial-body', 'false'];
    await send({ method: 'POST', body: Buffer.alloc(3 * 1024 * 1024, 1), headers });
    equal(asked[0]?.body.partial, true);
  });

  it('names the route where Envoy’s configuration does', async () => {
    script = () => denied('policy_denied');
    await send({ path: '/healthz' });
    await send();
    deepEqual(
      asked.map((request) => request.routeId),
      ['health', undefined],
    );
  });

  for (const [sent, seen] of [
    ['/v1/../admin', '/admin'],
    ['//admin', '/admin'],
    ['/%61dmin', '/admin'],
    ['/a/./b', '/a/b'],
  ]) {
    it(`forwards ${sent} in the form that was decided`, async () => {
      script = () => allowed();
      await send({ path: sent ?? '' });
      deepEqual([asked[0]?.target, reached[0]?.path], [seen, seen]);
    });
  }

  for (const path of ['/a%2fb', '/a%5cb', '/a%00b']) {
    it(`refuses ${path} before it asks`, async () => {
      equal((await send({ path })).status, 400);
      equal(asked.length, 0);
    });
  }

  it('refuses a credential header spelled with underscores', async () => {
    equal((await send({ headers: ['x_lemma_proof', 'a'] })).status, 400);
  });

  it('asks over a unix socket', async () => {
    script = () => allowed();
    equal((await send({ through: envoyOverSocket })).status, 200);
  });

  it('lets a request under way finish while Lemma drains, then denies', async () => {
    const begun = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const draining = await startGrpc({
      ...options,
      address: '127.0.0.1:0',
      decide: async () => {
        begun.resolve();
        await gate.promise;
        return allowed();
      },
    });
    const upstreamPort = (upstream.address() as AddressInfo).port;
    const binary = await installEnvoy();
    const own = await startEnvoy(binary, {
      lemma: Number(draining.address.split(':')[1]),
      upstream: upstreamPort,
    });
    try {
      const underWay = send({ through: own });
      await begun.promise;
      const drained = draining.drain();
      gate.resolve();
      equal((await underWay).status, 200);
      await drained;
      reached = [];
      const after = await send({ through: own });
      deepEqual([after.status, reached.length], [403, 0]);
      match(JSON.stringify(await own.accessLog(2)), /ext_authz_error/);
    } finally {
      await own.stop();
    }
  });
});
