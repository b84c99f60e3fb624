import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { InjectOptions } from 'fastify';
import { InputError } from '../../src/reason.ts';
import { decisionApp, startDecisionServer } from '../../src/server/decision-api.ts';
import { createHttp, type HttpServer, listen } from '../../src/server/http.ts';
import { tempFolder } from '../authority/support.ts';
import { decision, memoryLog, scripted } from './support.ts';

const CHECK = '/envoy.service.auth.v3.Authorization/Check';
const AUTHORIZE = '/api/wallet/runtimes/bot-1/authorize';
const JSON_TYPE = { 'content-type': 'application/json' };

interface ErrorShape {
  readonly success: boolean;
  readonly error: string;
  readonly message: string;
  readonly request_id: string;
}

function assertError(body: string, code: string, decisionId = false): ErrorShape {
  const error = JSON.parse(body) as ErrorShape;
  const members = ['success', 'error', 'message', 'request_id', ...(decisionId ? ['decision_id'] : [])];
  assert.deepEqual(Object.keys(error).sort(), members.sort());
  assert.deepEqual([error.success, error.error], [false, code]);
  assert.match(error.request_id, /^req_[A-Za-z0-9_-]{22}$/);
  assert.notEqual(error.message, '');
  return error;
}

/** Bytes over a real socket, and all that comes back. */
async function raw(server: HttpServer, bytes: string): Promise<{ status: number; body: string }> {
  const port = Number(server.address.split(':').at(-1));
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(bytes);
  const answer = await text(socket);
  const [head = '', ...body] = answer.split('\r\n\r\n');
  return { status: Number(head.split(' ')[1]), body: body.join('\r\n\r\n') };
}

describe('HTTP', () => {
  describe('errors', () => {
    const { log, lines } = memoryLog();
    const failing = async () => {
      throw new Error('secret detail');
    };
    const app = decisionApp({ decide: scripted(failing).decide, ready: () => false, log });
    after(() => app.close());

    const cases: readonly [name: string, status: number, code: string, request: InjectOptions][] = [
      ['an unknown path', 404, 'not_found', { url: '/nowhere' }],
      ['an unknown method', 404, 'not_found', { method: 'DELETE', url: CHECK }],
      [
        'a malformed path',
        400,
        'invalid_request',
        { url: '/api/wallet/runtimes/%zz/authorize', method: 'POST' },
      ],
      [
        'a body that is not JSON',
        400,
        'invalid_request',
        { method: 'POST', url: CHECK, headers: JSON_TYPE, payload: '{' },
      ],
      ['no body', 400, 'invalid_request', { method: 'POST', url: CHECK }],
      [
        'an empty body',
        400,
        'invalid_request',
        { method: 'POST', url: CHECK, headers: JSON_TYPE, payload: '' },
      ],
      [
        'a key twice',
        400,
        'invalid_request',
        { method: 'POST', url: CHECK, headers: JSON_TYPE, payload: '{"attributes":{},"attributes":{}}' },
      ],
      [
        'a member of the wrong type',
        400,
        'invalid_request',
        {
          method: 'POST',
          url: CHECK,
          headers: JSON_TYPE,
          payload: '{"attributes":{"request":{"http":{"method":1}}}}',
        },
      ],
      [
        'another content type',
        415,
        'unsupported_media_type',
        { method: 'POST', url: CHECK, headers: { 'content-type': 'text/plain' }, payload: '{}' },
      ],
      [
        'a body that is too large',
        413,
        'payload_too_large',
        {
          method: 'POST',
          url: CHECK,
          headers: { ...JSON_TYPE, 'content-length': String(17 * 1024 * 1024) },
          payload: '{}',
        },
      ],
      [
        'an id that cannot be one',
        400,
        'invalid_request',
        {
          method: 'POST',
          url: '/api/wallet/runtimes/BOT/authorize',
          payload: { method: 'GET', url: 'https://a.example/' },
        },
      ],
      ['something unexpected', 500, 'internal_error', { method: 'POST', url: CHECK, payload: {} }],
      ['not being ready', 503, 'state_not_ready', { url: '/readyz' }],
    ];
    for (const [name, status, code, request] of cases) {
      it(`${name} is ${status} ${code}`, async () => {
        const response = await app.inject(request);
        assert.equal(response.statusCode, status);
        const error = assertError(response.body, code);
        assert.equal(response.headers['x-request-id'], error.request_id);
      });
    }

    it('names every field that is wrong', async () => {
      const payload = { method: 1, colour: 'red' };
      const { message } = (await app.inject({ method: 'POST', url: AUTHORIZE, payload })).json<ErrorShape>();
      assert.match(message, /method: must be string/);
      assert.match(message, /colour: unknown member/);
    });

    it('tells the log, not the caller, what was unexpected', async () => {
      const { body } = await app.inject({ method: 'POST', url: CHECK, payload: {} });
      assert.equal(body.includes('secret detail'), false);
      assert.ok(lines().some((line) => line.includes('secret detail')));
    });

    it('takes no request id from a client', async () => {
      const response = await app.inject({
        url: '/healthz',
        headers: { 'x-request-id': 'forged', 'request-id': 'forged' },
      });
      assert.match(String(response.headers['x-request-id']), /^req_/);
    });

    it('come with security headers', async () => {
      const { headers } = await app.inject({ url: '/nowhere' });
      assert.deepEqual(
        [headers['x-content-type-options'], headers['x-frame-options'], headers['cache-control']],
        ['nosniff', 'DENY', 'no-store'],
      );
    });
  });

  describe('listening', () => {
    let folder: ReturnType<typeof tempFolder>;
    const servers: HttpServer[] = [];
    const start = async (address: string, decide = scripted().decide) => {
      const server = await startDecisionServer({ address, decide, ready: () => true, log: memoryLog().log });
      servers.push(server);
      return server;
    };
    const unusable = (pattern: RegExp) => (error: unknown) =>
      error instanceof InputError &&
      error.problems[0]?.field === 'listen.decision' &&
      pattern.test(error.message);

    beforeEach(() => {
      folder = tempFolder();
    });
    afterEach(async () => {
      await Promise.all(servers.splice(0).map((server) => server.close()));
      folder.remove();
    });

    it('tells the port that it took', async () => {
      const server = await start('127.0.0.1:0');
      assert.match(server.address, /^127\.0\.0\.1:[1-9]\d*$/);
      assert.equal((await fetch(`http://${server.address}/healthz`)).status, 200);
    });

    it('takes headers of up to 64 KiB', async () => {
      const server = await start('127.0.0.1:0');
      const response = await fetch(`http://${server.address}/healthz`, {
        headers: { 'x-long': 'a'.repeat(40_000) },
      });
      assert.equal(response.status, 200);
    });

    /** As a listener that no proxy asks. */
    async function startPlain(): Promise<HttpServer> {
      const app = createHttp({ log: memoryLog().log, bodyLimit: 1024 });
      const server = await listen(app, '127.0.0.1:0', 'listen.control');
      servers.push(server);
      return server;
    }

    for (const [who, begin, statuses] of [
      ['anybody', startPlain, [431, 400]],
      ['a proxy, which knows no other denial', () => start('127.0.0.1:0'), [403, 403]],
    ] as const) {
      it(`answers headers that are too large in the one shape, to ${who}: ${statuses[0]}`, async () => {
        const { status, body } = await raw(
          await begin(),
          `GET /healthz HTTP/1.1\r\nhost: a\r\nx: ${'a'.repeat(70_000)}\r\n\r\n`,
        );
        assert.equal(status, statuses[0]);
        assertError(body, 'headers_too_large');
      });

      it(`answers what is no HTTP in the one shape, to ${who}: ${statuses[1]}`, async () => {
        const { status, body } = await raw(await begin(), 'hello\r\n\r\n');
        assert.equal(status, statuses[1]);
        assertError(body, 'invalid_request');
      });
    }

    it('cuts off a body that is too large while it comes', async () => {
      const server = await start('127.0.0.1:0');
      const chunk = `100000\r\n${'a'.repeat(0x100000)}\r\n`;
      const { status, body } = await raw(
        server,
        `POST ${CHECK} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${chunk.repeat(17)}`,
      );
      assert.equal(status, 413);
      assertError(body, 'payload_too_large');
    });

    it('serves a unix socket, for its user and group only', async () => {
      const path = join(folder.path, 'pdp.sock');
      const server = await start(`unix://${path}`);
      const request = httpRequest({ socketPath: path, path: '/healthz' }).end();
      const [response] = await once(request, 'response');
      response.resume();
      assert.deepEqual(
        [server.address, response.statusCode, (statSync(path).mode & 0o777).toString(8)],
        [`unix://${path}`, 200, '660'],
      );
    });

    it('takes the place of a socket that nobody answers on', async () => {
      const path = join(folder.path, 'pdp.sock');
      const { execFileSync } = await import('node:child_process');
      const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
      assert.throws(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' }));
      assert.equal(existsSync(path), true);
      assert.equal((await start(`unix://${path}`)).address, `unix://${path}`);
    });

    it('leaves a file that is no socket alone', async () => {
      const path = join(folder.path, 'pdp.sock');
      writeFileSync(path, 'mine');
      await assert.rejects(start(`unix://${path}`), unusable(/is not a socket/));
    });

    it('leaves the socket of a living process alone', async () => {
      const address = `unix://${join(folder.path, 'pdp.sock')}`;
      await start(address);
      await assert.rejects(start(address), unusable(/another process/));
    });

    it('says when a port is taken', async () => {
      const { address } = await start('127.0.0.1:0');
      await assert.rejects(start(address), unusable(/cannot be bound: .*EADDRINUSE/));
    });

    it('says when an address is none', async () => {
      await assert.rejects(start('everywhere'), unusable(/must be host:port/));
    });

    it('lets a request that is under way finish when it closes', async () => {
      const entered = Promise.withResolvers<void>();
      const leave = Promise.withResolvers<void>();
      const server = await start('127.0.0.1:0', async () => {
        entered.resolve();
        await leave.promise;
        return decision();
      });
      const body = JSON.stringify({ method: 'GET', url: 'https://api.example.com/v1' });
      const answer = fetch(`http://${server.address}${AUTHORIZE}`, {
        method: 'POST',
        headers: JSON_TYPE,
        body,
      });
      await entered.promise;
      const closing = server.close();
      leave.resolve();
      const [response] = await Promise.all([answer, closing]);
      assert.equal(response.status, 200);
      await response.body?.cancel();
    });

    it('closes twice as once', async () => {
      const server = await start('127.0.0.1:0');
      await Promise.all([server.close(), server.close()]);
      await assert.rejects(fetch(`http://${server.address}/healthz`));
    });
  });

  it('cuts off a client that holds its head back', async () => {
    const app = createHttp({ log: memoryLog().log, bodyLimit: 1000, headersTimeout: 20 });
    const server = await listen(app, '127.0.0.1:0', 'listen.decision');
    try {
      assert.equal((await raw(server, 'GET /healthz HTTP/1.1\r\nhost: a\r\n')).status, 408);
    } finally {
      await server.close();
    }
  });
});
