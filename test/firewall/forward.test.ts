import { deepEqual, equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { allowed, denied } from '../support/envoy.ts';
import { api, open, send, start, startUpstream, stopAll } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'lemma-firewall-'));

describe('firewall: what the upstream gets', () => {
  afterEach(stopAll);
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('is the method, the rest of the target, the body and the upstream as Host', async () => {
    const upstream = await startUpstream();
    const { port } = await start([api({ base_url: `${upstream.url}/v1/` })]);
    await send({ port, method: 'POST', path: '/firewall/docs/a/b?x=1&x=2', body: '{"a":1}' });
    const { method, url, body, headers } = upstream.seen[0] ?? {};
    deepEqual(
      { method, url, body, host: headers?.host },
      { method: 'POST', url: '/v1/a/b?x=1&x=2', body: '{"a":1}', host: new URL(upstream.url).host },
    );
  });

  for (const rest of [
    '//x',
    '/a%2fb',
    '/%61',
    '/a/../b',
    '/./a',
    "/a;b='c'",
    '/?q=%2f//..&&=',
    '/é'.replace('é', '%C3%A9'),
  ]) {
    it(`is the target's rest byte for byte: ${rest}`, async () => {
      const upstream = await startUpstream();
      const { port } = await start([api({ base_url: upstream.url })]);
      await send({ port, path: `/firewall/docs${rest}` });
      equal(upstream.seen[0]?.url, rest);
    });
  }

  it('is / where the target ends at the api', async () => {
    const upstream = await startUpstream();
    const { port } = await start([api({ base_url: upstream.url })]);
    await send({ port, path: '/firewall/docs?a=1' });
    equal(upstream.seen[0]?.url, '/?a=1');
  });

  it('has who acts, and nothing that the agent says of itself', async () => {
    const upstream = await startUpstream();
    const { port } = await start([api({ base_url: upstream.url })]);
    const spoofed = {
      'X-Lemma-Subject': 'me',
      x_lemma_agent_id: 'me',
      'x-lemma-anything': 'me',
      'x-lemma-credential': 'secret',
    };
    await send({ port, path: '/firewall/docs/a', headers: spoofed });
    const own = Object.entries(upstream.seen[0]?.headers ?? {}).filter(([name]) => /^x.lemma/.test(name));
    deepEqual(Object.fromEntries(own), {
      'x-lemma-subject': 'did:lemma:ppid_1',
      'x-lemma-runtime-id': 'bot-1',
      'x-lemma-agent-id': 'bot',
      'x-lemma-workspace-id': 'prod',
      'x-lemma-run-id': 'run-1',
      'x-lemma-scope': 'documents.read pay.send',
      'x-lemma-decision-id': 'dec_1',
    });
  });

  it('has harmless headers only, unless the api lists others', async () => {
    const upstream = await startUpstream();
    const { port } = await start([api({ base_url: upstream.url })]);
    const headers = {
      accept: 'text/plain',
      'if-none-match': '"a"',
      cookie: 'a=b',
      authorization: 'Basic x',
      'x-other': '1',
    };
    await send({ port, path: '/firewall/docs/a', headers });
    const {
      accept,
      'if-none-match': match,
      cookie,
      authorization,
      'x-other': other,
    } = upstream.seen[0]?.headers ?? {};
    deepEqual(
      [accept, match, cookie, authorization, other],
      ['text/plain', '"a"', undefined, undefined, undefined],
    );
  });

  it('has the headers that the api lists, every line of them, and no others', async () => {
    const upstream = await startUpstream();
    const { port } = await start([api({ base_url: upstream.url, forward_headers: ['x-other'] })]);
    await send({ port, path: '/firewall/docs/a', headers: { 'X-Other': ['1', '2'], accept: 'text/plain' } });
    const { 'x-other': other, accept } = upstream.seen[0]?.headers ?? {};
    deepEqual([other, accept], ['1, 2', undefined]);
  });

  it('has no hop-by-hop header, nor one that Connection names, even where the api lists it', async () => {
    const upstream = await startUpstream();
    const { port } = await start([
      api({ base_url: upstream.url, forward_headers: ['x-a', 'te', 'x-b', 'keep-alive'] }),
    ]);
    const headers = {
      connection: 'close, X-A',
      'x-a': '1',
      'x-b': '2',
      te: 'trailers',
      'keep-alive': 'timeout=9',
    };
    await send({ port, path: '/firewall/docs/a', headers });
    const got = upstream.seen[0]?.headers ?? {};
    deepEqual([got['x-a'], got['x-b'], got.te, got['keep-alive']], [undefined, '2', undefined, undefined]);
  });

  it('lacks what the decision strips, and has what the policy sets', async () => {
    const upstream = await startUpstream();
    const result = { allow: true, reason: 'allowed', reasons: [], headers: { 'X-Policy': 'yes' } };
    const decide = () => allowed({ strip: ['x-other'], result });
    const { port } = await start([api({ base_url: upstream.url, forward_headers: ['x-other'] })], { decide });
    await send({ port, path: '/firewall/docs/a', headers: { 'x-other': '1' } });
    const got = upstream.seen[0]?.headers ?? {};
    deepEqual([got['x-other'], got['x-policy']], [undefined, 'yes']);
  });

  for (const [listed, expected] of [
    [null, undefined],
    [['signature'], 'other=:AA==:'],
  ] as const) {
    it(`has a rewritten Signature only where Signature is listed: ${expected}`, async () => {
      const upstream = await startUpstream();
      const decide = () => allowed({ rewrite: [['signature', 'other=:AA==:']] });
      const { port } = await start([api({ base_url: upstream.url, forward_headers: listed })], { decide });
      await send({ port, path: '/firewall/docs/a', headers: { signature: 'other=:AA==:, lemma=:BB==:' } });
      equal(upstream.seen[0]?.headers.signature, expected);
    });
  }

  it("has the injected credential in place of the agent's", async () => {
    const value_file = join(folder, 'key');
    writeFileSync(value_file, 'Bearer real\n', { mode: 0o600 });
    const upstream = await startUpstream();
    const inject = { header: 'authorization', value_file };
    const { port } = await start([
      api({ base_url: upstream.url, forward_headers: ['authorization'], inject }),
    ]);
    await send({ port, path: '/firewall/docs/a', headers: { authorization: 'Bearer of-the-agent' } });
    deepEqual(
      upstream.seen[0]?.rawHeaders.filter((text) => text.startsWith('Bearer')),
      ['Bearer real'],
    );
  });

  it('is nothing at all where the request is denied', async () => {
    const upstream = await startUpstream();
    const { port } = await start([api({ base_url: upstream.url })], {
      decide: () => denied('runtime_killed'),
    });
    await send({ port, path: '/firewall/docs/a' });
    deepEqual(upstream.seen, []);
  });

  it('is nothing at all where no api is named, even if that were allowed', async () => {
    const upstream = await startUpstream();
    const { port } = await start([api({ base_url: upstream.url })]);
    const { status } = await send({ port, path: '/firewall/other/a' });
    deepEqual([status, upstream.seen], [403, []]);
  });

  it('is a body over the limit too, streamed and whole', async () => {
    const upstream = await startUpstream();
    const { port } = await start([api({ base_url: upstream.url })], { limits: { bodyBytes: 1000 } });
    const body = 'abcdefghij'.repeat(100_000);
    await send({ port, method: 'POST', path: '/firewall/docs/a', body });
    ok(upstream.seen[0]?.body === body);
  });

  it('comes on a connection that is kept', async () => {
    const upstream = await startUpstream();
    let connections = 0;
    upstream.server.on('connection', () => {
      connections++;
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    for (const path of ['/a', '/b', '/c']) await send({ port, path: `/firewall/docs${path}` });
    equal(connections, 1);
  });

  it('comes again on a fresh connection where a kept one had been closed', async () => {
    let first = true;
    const upstream = await startUpstream((request, response) => {
      if (request.url === '/b' && first) {
        first = false;
        request.socket.resetAndDestroy();
      } else response.end(request.url);
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    await send({ port, path: '/firewall/docs/a' });
    equal((await send({ port, path: '/firewall/docs/b' })).body, '/b');
  });

  it('does not come twice where that could do harm', async () => {
    const got: string[] = [];
    const upstream = await startUpstream((request, response) => {
      got.push(request.method ?? '');
      if (request.method === 'POST') request.socket.resetAndDestroy();
      else response.end();
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    await send({ port, path: '/firewall/docs/a' });
    const { status } = await send({ port, method: 'POST', path: '/firewall/docs/a' });
    deepEqual([status, got], [502, ['GET', 'POST']]);
  });

  it('ends when the agent hangs up before the upstream has answered', async () => {
    const upstream = await startUpstream(() => undefined);
    const { port } = await start([api({ base_url: upstream.url })]);
    const outgoing = httpRequest({ port, path: '/firewall/docs/a', agent: false }).on(
      'error',
      () => undefined,
    );
    outgoing.end();
    const [request] = await once(upstream.server, 'request');
    const closed = once(request.socket, 'close');
    outgoing.destroy();
    await closed;
  });

  it('ends when the agent hangs up within the answer', async () => {
    const upstream = await startUpstream((_, response) => void response.write('begun'));
    const { port } = await start([api({ base_url: upstream.url })]);
    const closed = once(upstream.server, 'request').then(([request]) => once(request.socket, 'close'));
    const response = await open({ port, path: '/firewall/docs/a' });
    response.destroy();
    await closed;
  });
});
