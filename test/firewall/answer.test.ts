import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { type AddressInfo, createServer as createTcp } from 'node:net';
import { allowed, denied } from '../support/envoy.ts';
import { api, bytesOf, open, send, settled, start, startUpstream, stopAll } from './support.ts';

const tainting = (id = 'dec_1') => allowed({ decision_id: id, taintOnResponse: true });

describe('firewall: what the agent gets', () => {
  afterEach(stopAll);

  it("is the upstream's status, headers and body, and the decision's id", async () => {
    const upstream = await startUpstream((_, response) => {
      response.writeHead(418, 'Short and stout', ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Tea', 'yes']);
      response.end('tea');
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    const { status, headers, body } = await send({ port, path: '/firewall/docs/a' });
    deepEqual(
      [status, headers['set-cookie'], headers['x-tea'], headers['x-lemma-decision-id'], body],
      [418, ['a=1', 'b=2'], 'yes', 'dec_1', 'tea'],
    );
  });

  it("is a redirect, not the redirect's target", async () => {
    const upstream = await startUpstream((_, response) => {
      response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    const { status, headers } = await send({ port, path: '/firewall/docs/a' });
    deepEqual([status, headers.location], [302, 'http://169.254.169.254/']);
  });

  it('has no hop-by-hop header and no x-lemma-* of the upstream', async () => {
    const upstream = await startUpstream((_, response) => {
      const own = {
        'x-lemma-decision-id': 'forged',
        x_lemma_subject: 'forged',
        'proxy-authenticate': 'Basic',
      };
      response.writeHead(200, { ...own, connection: 'close, x-private', 'x-private': '1' }).end();
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    const { headers } = await send({ port, path: '/firewall/docs/a' });
    deepEqual(
      [
        headers['x-lemma-decision-id'],
        headers.x_lemma_subject,
        headers['proxy-authenticate'],
        headers['x-private'],
      ],
      ['dec_1', undefined, undefined, undefined],
    );
  });

  it("has the policy's response headers over the upstream's, and its cookies beside them", async () => {
    const upstream = await startUpstream((_, response) => {
      response.writeHead(200, { 'cache-control': 'public', 'set-cookie': 'a=1' }).end();
    });
    const response_headers_to_add = { 'Cache-Control': 'no-store', 'Set-Cookie': 'b=2' };
    const result = { allow: true, reason: 'allowed', reasons: [], response_headers_to_add };
    const { port } = await start([api({ base_url: upstream.url })], { decide: () => allowed({ result }) });
    const { headers } = await send({ port, path: '/firewall/docs/a' });
    deepEqual([headers['cache-control'], headers['set-cookie']], ['no-store', ['a=1', 'b=2']]);
  });

  it('comes as it comes: an event is passed on before the next is there', async () => {
    let next: () => void = () => undefined;
    const upstream = await startUpstream((_, response) => {
      response.flushHeaders();
      response.write('one');
      next = () => response.end('two');
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    const response = await open({ port, path: '/firewall/docs/a' });
    const [first] = await once(response, 'data');
    next();
    const [second] = await once(response, 'data');
    equal(`${first} ${second}`, 'one two');
  });

  it('does not fill memory where the agent reads slowly: the upstream has to wait', async () => {
    const megabyte = Buffer.alloc(1024 * 1024);
    let written = 0;
    const upstream = await startUpstream(async (_, response) => {
      for (; written < 256; written++) {
        if (!response.write(megabyte)) {
          // Neither event may come: the test ends by cutting the connection.
          await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
        }
        if (response.destroyed) return;
      }
      response.end();
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    const response = await open({ port, path: '/firewall/docs/a' });
    await once(response, 'readable');
    const before = await settled(() => written);
    response.destroy();
    ok(before < 128, `${before} MiB were taken from the upstream`);
  });

  it("breaks where the upstream's breaks", async () => {
    const upstream = await startUpstream((_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half', () => response.destroy());
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    const response = await open({ port, path: '/firewall/docs/a' });
    await rejects(bytesOf(response), { code: 'ECONNRESET' });
  });
});

/** The answer to a request whose body goes on for ever. */
async function openEndless(port: number): Promise<IncomingMessage> {
  const headers = { connection: 'keep-alive' };
  const outgoing = httpRequest({ port, method: 'POST', path: '/firewall/docs/a', headers, agent: false });
  outgoing.on('error', () => undefined);
  outgoing.write('a'.repeat(100));
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  outgoing.destroy();
  return response;
}

describe('firewall: a denial', () => {
  afterEach(stopAll);

  it("has the reason's status and names reason and decision", async () => {
    const { port } = await start([api()], { decide: () => denied('auth_required') });
    const { status, headers, body } = await send({ port, path: '/firewall/docs/a' });
    deepEqual(
      [status, headers['content-type'], JSON.parse(body)],
      [401, 'application/json', { success: false, error: 'auth_required', decision_id: 'dec_1' }],
    );
  });

  it('has the status, headers and body that the policy asks for', async () => {
    const result = {
      allow: false,
      reason: 'policy_denied',
      reasons: [],
      http_status: 451,
      headers: { 'Content-Type': 'text/plain' },
      body: 'no',
    };
    const { port } = await start([api()], { decide: () => denied('policy_denied', { result }) });
    const { status, headers, body } = await send({ port, path: '/firewall/docs/a' });
    deepEqual([status, headers['content-type'], body], [451, 'text/plain', 'no']);
  });

  for (const allow of [true, false]) {
    it(`has a policy’s text as UTF-8, as Envoy sends it, in ${allow ? 'an allow' : 'a denial'}`, async () => {
      const text = 'é → 😀';
      const decided = { allow, reason: allow ? 'allowed' : 'x_own', reasons: [] };
      const headers = { 'x-upstream': text };
      const result = allow
        ? { ...decided, headers, response_headers_to_add: { 'x-added': text } }
        : { ...decided, headers };
      const upstream = await startUpstream((request, response) => {
        response.writeHead(200, { 'x-upstream': String(request.headers['x-upstream']) }).end();
      });
      const { port } = await start([api({ base_url: upstream.url })], {
        decide: () => (allow ? allowed({ result }) : denied('x_own', { result })),
      });
      const answer = await send({ port, path: '/firewall/docs/a' });
      const said = [answer.headers['x-upstream'], answer.headers['x-added'] ?? ''].map((value) =>
        Buffer.from(String(value), 'latin1').toString(),
      );
      deepEqual([answer.status, ...said], allow ? [200, text, text] : [403, text, '']);
    });
  }

  it('is given to an upgrade, which is an ordinary request here', async () => {
    const { port, decided } = await start([api()], { decide: () => denied('method_not_allowed') });
    const headers = { connection: 'upgrade', upgrade: 'websocket' };
    const { status } = await send({ port, path: '/firewall/docs/a', headers });
    const [request] = decided;
    deepEqual(
      [status, request?.headers.find(([name]) => name === 'upgrade')],
      [403, ['upgrade', 'websocket']],
    );
  });

  it('closes the connection where the rest of the body was not read', async () => {
    const { port } = await start([api()], {
      decide: () => denied('policy_denied'),
      limits: { bodyBytes: 10 },
    });
    const response = await openEndless(port);
    deepEqual([response.statusCode, response.headers.connection], [403, 'close']);
  });

  it('is internal_error where deciding fails', async () => {
    const decide = () => Promise.reject(new Error('broken'));
    const { port } = await start([api()], { decide });
    const { status, body } = await send({ port, path: '/firewall/docs/a' });
    deepEqual([status, JSON.parse(body).error], [503, 'internal_error']);
  });
});

describe('firewall: an upstream that fails', () => {
  afterEach(stopAll);

  it('is 502 with the decision id where nobody listens', async () => {
    const { port } = await start([api({ base_url: 'http://127.0.0.1:1' })]);
    const { status, body } = await send({ port, path: '/firewall/docs/a' });
    const { success, error, decision_id } = JSON.parse(body);
    deepEqual([status, success, error, decision_id], [502, false, 'upstream_unavailable', 'dec_1']);
  });

  it('is 504 where it is silent', async () => {
    const upstream = await startUpstream(() => undefined);
    const { port } = await start([api({ base_url: upstream.url })], { limits: { idleMs: 50 } });
    const { status, body } = await send({ port, path: '/firewall/docs/a' });
    deepEqual([status, JSON.parse(body).error], [504, 'upstream_timeout']);
  });

  it('is 504 where the connection never stands', async () => {
    const silent = createTcp().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const base_url = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const { port } = await start([api({ base_url })], { limits: { connectMs: 50 } });
    const { status } = await send({ port, path: '/firewall/docs/a' });
    silent.close();
    equal(status, 504);
  });
});

describe('firewall: taint', () => {
  afterEach(stopAll);

  it('is in force before a byte of the answer passes, even one that stalls after its headers', async () => {
    const upstream = await startUpstream((_, response) => response.flushHeaders());
    const steps: string[] = [];
    let proceed: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => {
      proceed = resolve;
    });
    let release: () => void = () => undefined;
    const durable = new Promise<void>((resolve) => {
      release = resolve;
    });
    const taint = async () => {
      proceed();
      await durable;
      steps.push('tainted');
    };
    const { port } = await start([api({ base_url: upstream.url })], { decide: () => tainting(), taint });
    const answered = open({ port, path: '/firewall/docs/a' }).then((response) => {
      steps.push('answered');
      response.destroy();
    });
    await asked;
    // The upstream's head is there: were it passed on now, it would arrive within this time.
    await new Promise((resolve) => setTimeout(resolve, 50));
    deepEqual(steps, []);
    release();
    await answered;
    deepEqual(steps, ['tainted', 'answered']);
  });

  it("is told who acts, and by which decision's answer", async () => {
    const upstream = await startUpstream();
    const told: unknown[] = [];
    const taint = async (...args: unknown[]) => void told.push(...args);
    const { port } = await start([api({ base_url: upstream.url })], {
      decide: () => tainting('dec_7'),
      taint,
    });
    await send({ port, path: '/firewall/docs/a' });
    deepEqual(told, [allowed().actor, { decision_id: 'dec_7', api: 'docs' }]);
  });

  it('keeps the whole answer back where it cannot be recorded', async () => {
    const upstream = await startUpstream((_, response) => {
      response.writeHead(200, { 'x-instruction': 'obey' }).end('obey');
    });
    const taint = () => Promise.reject(new Error('disk full'));
    const { port } = await start([api({ base_url: upstream.url })], { decide: () => tainting(), taint });
    const { status, headers, body } = await send({ port, path: '/firewall/docs/a' });
    deepEqual(
      [status, headers['x-instruction'], JSON.parse(body).error, body.includes('obey')],
      [503, undefined, 'state_not_ready', false],
    );
  });

  it('keeps the answer back where nobody is known to taint', async () => {
    const upstream = await startUpstream();
    const decide = () => allowed({ taintOnResponse: true, actor: null });
    const { port } = await start([api({ base_url: upstream.url })], { decide });
    equal((await send({ port, path: '/firewall/docs/a' })).status, 503);
  });

  it('outlives an upstream that breaks meanwhile: the agent gets a broken answer, the next one a whole', async () => {
    let first = true;
    const upstream = await startUpstream((request, response) => {
      if (!first) return void response.end('whole');
      first = false;
      broken = once(request.socket, 'close');
      response.writeHead(200, { 'content-length': '100' });
      response.write('half', () => request.socket.resetAndDestroy());
    });
    let broken: Promise<unknown> = Promise.resolve();
    const taint = () =>
      broken.then(() => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve))));
    const { port } = await start([api({ base_url: upstream.url })], { decide: () => tainting(), taint });
    await rejects(send({ port, path: '/firewall/docs/a' }));
    equal((await send({ port, path: '/firewall/docs/a' })).body, 'whole');
  });

  it('does not come of an upstream that cannot be reached', async () => {
    let tainted = 0;
    const taint = async () => void tainted++;
    const { port } = await start([api()], { decide: () => tainting(), taint });
    await send({ port, path: '/firewall/docs/a' });
    equal(tainted, 0);
  });
});
