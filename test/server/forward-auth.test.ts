import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { FORWARD_AUTH_PROXIES } from '../../src/request/forward-auth.ts';
import { decisionApp } from '../../src/server/decision-api.ts';
import { listen } from '../../src/server/http.ts';
import { type Answer, send, sendRaw } from '../support/envoy-client.ts';
import { recordsOf } from '../support/envoy-scene.ts';
import { askForwardAuth, questionOf } from '../support/forward-auth.ts';
import { bearing, chain, request, type WireRequest } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';
import { DECISION_ID, decision, denial, memoryLog, scripted } from './support.ts';

/** As pino numbers it. */
const INFO = 30;

const portOf = (address: string) => Number(address.split(':').at(-1));

function verdictOf({ status, headers, body }: Answer, method: string) {
  const reason = String(headers['x-lemma-reason'] ?? 'allow');
  if (status !== 200 && method !== 'HEAD') {
    const id = headers['x-lemma-decision-id'];
    assert.deepEqual(JSON.parse(body), { success: false, error: reason, decision_id: id });
  }
  return { status, reason };
}

describe('forward-auth', () => {
  let service: Running;
  before(async () => {
    service = await running();
  });
  after(() => service.stop());

  const asked: readonly (readonly [code: string, wire: WireRequest])[] = [
    ['allow', bearing(chain())],
    ['auth_required', request()],
    ['route_unknown', bearing(chain(), { path: '/v1/secrets' })],
  ];
  for (const proxy of FORWARD_AUTH_PROXIES) {
    it(`leaves a record of each answer to ${proxy}, with its code and border`, async () => {
      const answers = await Promise.all(asked.map(([, wire]) => askForwardAuth(service, proxy, wire)));
      const records = await recordsOf(service);
      const kept = answers.map(({ decisionId, code }) => {
        const { verdict, reason, border } = records.get(decisionId) ?? {};
        return [code, verdict === 'allow' ? 'allow' : reason, border];
      });
      assert.deepEqual(
        kept,
        asked.map(([code]) => [code, code, 'forward-auth']),
      );
    });
  }
});

describe('forward-auth over HTTP', () => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  async function served({ decide, asked } = scripted()) {
    const { log, lines } = memoryLog();
    const app = decisionApp({ decide, ready: () => true, log });
    const server = await listen(app, '127.0.0.1:0', 'listen.decision');
    closers.push(server.close);
    return { port: portOf(server.address), asked, lines };
  }

  const wire = (over: Partial<WireRequest> = {}): WireRequest => ({
    method: 'GET',
    scheme: 'https',
    host: 'api.example.com',
    path: '/v1/documents/42',
    headers: [],
    ...over,
  });

  for (const method of [
    'GET',
    'HEAD',
    'POST',
    'OPTIONS',
    'TRACE',
    'PROPFIND',
    'PURGE',
    'QUERY',
    'M-SEARCH',
  ]) {
    it(`answers ${method}, of Envoy’s client as of any proxy`, async () => {
      const { port, asked } = await served();
      const fromEnvoy = await send(port, questionOf('envoy', wire({ method })));
      const fromOther = await send(port, { ...questionOf('caddy', wire()), method });
      assert.deepEqual([fromEnvoy.status, fromOther.status], [200, 200]);
      assert.deepEqual(
        asked.map((request) => request.method),
        [method, 'GET'],
      );
    });
  }

  for (const path of [
    '/%zz',
    '//a/../b',
    '/a%2fb%00',
    '/a;b',
    '/a\\b',
    '/a?b%zz#c',
    '*',
    '',
    '-other/x',
    `/${'a'.repeat(9000)}`,
  ]) {
    it(`gets Envoy’s path as it stands: ${JSON.stringify(path.slice(0, 20))}`, async () => {
      const { port, asked } = await served();
      const { status } = await send(port, questionOf('envoy', wire({ path })));
      assert.deepEqual([status, asked[0]?.target], [200, path]);
    });
  }

  it('reads no query that a proxy left on its question', async () => {
    const { port, asked } = await served();
    const question = questionOf('caddy', wire());
    assert.equal((await send(port, { ...question, path: `${question.path}?%zz=1` })).status, 200);
    assert.equal(asked[0]?.target, '/v1/documents/42');
  });

  for (const type of ['text/xml', 'nonsense;;=', 'application/json', 'multipart/form-data']) {
    it(`parses no body that a proxy sends along: ${type}`, async () => {
      const { port, asked } = await served();
      const question = questionOf('traefik', wire({ method: 'POST' }));
      const headers = [...question.headers, ['content-type', type], ['content-length', '5']] as const;
      const body = Buffer.from('{"a":').toString('base64url');
      assert.equal((await send(port, { ...question, headers, body })).status, 200);
      assert.deepEqual(
        [Buffer.from(asked[0]?.body.seen ?? []).toString(), asked[0]?.body.partial, asked[0]?.body.size],
        ['{"a":', false, 5],
      );
    });
  }

  it('keeps no more of a body than its limit, and answers all the same', async () => {
    const { port, asked } = await served();
    const length = 17 * 1024 * 1024;
    const question = questionOf(
      'envoy',
      wire({ method: 'POST', body: Buffer.alloc(length).toString('base64url') }),
    );
    assert.equal((await send(port, question)).status, 200);
    const { seen, partial } = asked[0]?.body ?? {};
    assert.equal(partial, true);
    assert.ok((seen?.length ?? 0) <= 16 * 1024 * 1024);
  });

  it('is not found for a proxy that it does not know', async () => {
    const { port, asked } = await served();
    for (const path of [
      '/forward-auth/haproxy',
      '/forward-auth/nginx/x',
      '/forward-auth/',
      '/forward-auth',
    ]) {
      assert.equal((await send(port, wire({ path }))).status, 404);
    }
    assert.equal(asked.length, 0);
  });

  it('is 403 when deciding fails, and the log says why', async () => {
    const { port, lines } = await served(
      scripted(async () => {
        throw new Error('no such thing');
      }),
    );
    const answer = await send(port, questionOf('nginx', wire()));
    assert.deepEqual(verdictOf(answer, 'GET'), { status: 403, reason: 'internal_error' });
    assert.ok(
      lines().some(
        (line) =>
          line.includes('no such thing') && line.includes(String(answer.headers['x-lemma-decision-id'])),
      ),
    );
  });

  it('takes a proxy that hangs up for no failure of its own', async () => {
    const { port, lines, asked } = await served();
    const socket = connect(port, '127.0.0.1');
    socket.write('POST /forward-auth/envoy/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nshort');
    await once(socket, 'connect');
    socket.end();
    await once(socket.resume(), 'close');
    const told = () => lines().filter((line) => /hung up|forward-auth failed/.test(line));
    while (told().length === 0) await turn();
    assert.deepEqual([told().map((line) => JSON.parse(line).level), asked.length], [[INFO], 0]);
  });

  it('is 403 where a policy would answer otherwise', async () => {
    const result = { allow: false, reason: 'x_own', reasons: [], http_status: 451 };
    const { port } = await served(scripted(denial({ reason: 'x_own', result })));
    assert.equal((await send(port, questionOf('traefik', wire()))).status, 403);
  });

  const says = (allow: boolean, value: string) => {
    const result = { allow, reason: allow ? 'allowed' : 'x_own', reasons: [], headers: { 'x-why': value } };
    return scripted(allow ? decision({ result }) : denial({ reason: 'x_own', result }));
  };
  for (const [what, allow, status] of [
    ['an allow', true, 200],
    ['a denial', false, 403],
  ] as const) {
    it(`gives a policy’s text in ${what} as UTF-8, as Envoy does`, async () => {
      const { port } = await served(says(allow, 'é → 😀'));
      const answer = await send(port, questionOf('envoy', wire()));
      const text = Buffer.from(String(answer.headers['x-why']), 'latin1').toString();
      assert.deepEqual([answer.status, text], [status, 'é → 😀']);
    });

    it(`is 403 where ${what} has a header that cannot be sent`, async () => {
      const { port } = await served(says(allow, 'a\x01'));
      const answer = await send(port, questionOf('envoy', wire()));
      assert.deepEqual(verdictOf(answer, 'GET'), { status: 403, reason: 'internal_error' });
      assert.equal(answer.headers['x-lemma-subject'], undefined);
    });
  }

  it('may be kept by nobody', async () => {
    const { port } = await served();
    assert.equal((await send(port, questionOf('nginx', wire()))).headers['cache-control'], 'no-store');
  });

  it('names the decision', async () => {
    for (const answer of [decision(), denial()]) {
      const { port } = await served(scripted(answer));
      const { headers } = await send(port, questionOf('nginx', wire()));
      assert.equal(headers['x-lemma-decision-id'], DECISION_ID);
    }
  });

  it('reads an upgrade as a request, and opens nothing', async () => {
    const { port, asked } = await served();
    const head = [
      'GET /forward-auth/caddy HTTP/1.1',
      'Host: a',
      'Connection: Upgrade, close',
      'Upgrade: websocket',
    ];
    const { statuses } = await sendRaw(port, `${head.join('\r\n')}\r\n\r\n`);
    assert.deepEqual(statuses, [200]);
    assert.deepEqual(asked[0]?.headers, [['upgrade', 'websocket']]);
  });

  for (const [what, bytes, statuses] of [
    ['no host', 'GET /forward-auth/nginx HTTP/1.1\r\nConnection: close\r\n\r\n', [200]],
    [
      'an expectation that nobody knows',
      'GET /forward-auth/envoy/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: more\r\n\r\n',
      [200],
    ],
    [
      'a method that Node does not know',
      'FETCH /forward-auth/envoy/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      [403],
    ],
    [
      'more headers than it takes',
      `GET /forward-auth/nginx HTTP/1.1\r\nHost: a\r\nA: ${'a'.repeat(65_536)}\r\n\r\n`,
      [403],
    ],
  ] as const) {
    it(`leaves no answer to Node: ${what}`, async () => {
      const { port } = await served();
      assert.deepEqual((await sendRaw(port, bytes)).statuses, statuses);
    });
  }

  it('sees every header, however many come', async () => {
    const { port, asked } = await served();
    const headers = Array.from({ length: 5_000 }, (_, i) => [`f${i}`, ''] as const);
    await send(port, questionOf('caddy', wire({ headers: [...headers, ['x-http-method-override', 'PUT']] })));
    assert.equal(asked[0]?.headers.length, 5_001);
  });

  it('tunnels nothing', async () => {
    const { port, asked } = await served();
    const { statuses } = await sendRaw(port, 'CONNECT /forward-auth/envoy HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.deepEqual([statuses, asked.length], [[], 0]);
  });
});

describe('forward-auth and gRPC', () => {
  it('record the same of one request, but the border and what only one of them knows', async () => {
    const service = await running();
    try {
      const wire = bearing(chain());
      const { decisionId } = await service.grpc(wire);
      const ids = [decisionId];
      for (const proxy of FORWARD_AUTH_PROXIES) {
        const { headers } = await send(portOf(service.app.addresses.decision), questionOf(proxy, wire));
        ids.push(String(headers['x-lemma-decision-id']));
      }
      const records = await recordsOf(service);
      const comparable = ids.map((id) => {
        const record = records.get(id);
        const { input, request, verdict, route, actor } = record ?? {};
        const { request: seen, ...rest } = input as { request: Record<string, unknown> };
        const { protocol, source, ...same } = seen;
        return { input: { ...rest, request: same }, request, verdict, route, actor };
      });
      for (const other of comparable) assert.deepEqual(other, comparable[0]);
    } finally {
      await service.stop();
    }
  });
});
