import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import type { Lemma } from '../../src/schema/lemma.ts';
import { closed, startEcho, startEchoing, stopAll, type Upstream } from '../firewall/support.ts';
import { at, chain, header, NOW } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

const RUNTIMES = '/api/wallet/runtimes';

/** The whole service with a firewall, an upstream that speaks HTTP and WebSocket, and a server for tunnels. */
describe('the firewall of a running service', () => {
  let upstream: Upstream;
  let far: Awaited<ReturnType<typeof startEcho>>;
  let service: Running;
  let address: string;
  let now: number;

  beforeEach(async () => {
    upstream = await startEchoing();
    far = await startEcho();
    const base = { base_url: upstream.url, methods: ['GET', 'POST'], path_prefixes: ['/'], risk: 'low' };
    const read = { scope: ['documents.read'], action: 'docs.use' };
    now = NOW;
    service = await running({
      clock: () => now,
      config: {
        firewall: {
          listen: '127.0.0.1:0',
          apis: [
            { id: 'live', upgrade: 'allow', ...base, ...read },
            { id: 'plain', ...base, ...read },
            { id: 'web', taint_on_response: true, upgrade: 'allow', ...base, ...read },
          ],
          proxy: {
            allow: [`127.0.0.1:${far.port}`],
            scope: ['documents.read'],
            risk: 'low',
            audience: upstream.url,
          },
        },
      },
    });
    address = service.app.addresses.firewall ?? '';
  });
  afterEach(async () => {
    await service.stop();
    await stopAll();
  });

  const proof = (...parts: Parameters<typeof chain>): Lemma[] =>
    at({ origin: upstream.url, signed: () => '' }, () => chain(...parts));
  const headers = () => ({ 'x-lemma-credential': header(proof()) });
  const open = async (api: string) => {
    const client = new WebSocket(`ws://${address}/firewall/${api}/chat`, { headers: headers() });
    await once(client, 'open');
    return client.on('error', () => undefined);
  };
  const status = async (method: string, api: string) => {
    const answer = await fetch(`http://${address}/firewall/${api}/a`, { method, headers: headers() });
    return { status: answer.status, text: await answer.text() };
  };

  it('opens a WebSocket where the api says so, and keeps a record of it', async () => {
    const client = await open('live');
    client.send('hello');
    const [heard] = await once(client, 'message');
    client.terminate();
    const { records } = await service.records();
    deepEqual(
      [String(heard), records.map(({ verdict, route, request }) => [verdict, route?.id, request?.path])],
      ['hello', [['allow', 'firewall.live', '/chat']]],
    );
  });

  it('opens none where it does not', async () => {
    const client = new WebSocket(`ws://${address}/firewall/plain/chat`, { headers: headers() });
    const [error] = await once(client, 'error').catch((e: unknown) => [e]);
    match(String(error), /403/);
    const { records } = await service.records();
    equal(records.at(-1)?.reason, 'method_not_allowed');
  });

  it('opens none without a credential', async () => {
    const client = new WebSocket(`ws://${address}/firewall/live/chat`);
    const [error] = await once(client, 'error').catch((e: unknown) => [e]);
    match(String(error), /401/);
  });

  for (const verb of ['kill', 'contain', 'taint'] as const) {
    it(`ends a WebSocket and a tunnel on ${verb}`, async () => {
      const client = await open('live');
      const tunnel = await tunnelled(address, far.port, header(proof()));
      equal(tunnel.status, 200);
      const ends = Promise.all([closed(client), closed(tunnel.socket.resume())]);
      const { status: answered } = await service.control(`${RUNTIMES}/bot-1/${verb}`, { reason: 'test' });
      equal(answered, 200);
      await ends;
    });
  }

  it('ends them when a link of their chain is revoked', async () => {
    const links = proof();
    const tunnel = await tunnelled(address, far.port, header(links));
    const end = closed(tunnel.socket.resume());
    const { status: answered } = await service.control(`${RUNTIMES}/bot-1/revoke`, {
      lemma_id: links.at(-1)?.id,
    });
    equal(answered, 200);
    await end;
  });

  it('ends them when their proof has ended', async () => {
    const client = await open('live');
    const end = closed(client);
    now = NOW + 3_000;
    await end;
  });

  it('taints by a WebSocket: it stays, and what writes is denied then', async () => {
    equal((await status('POST', 'plain')).status, 200);
    const client = await open('web');
    const { status: denied, text } = await status('POST', 'plain');
    deepEqual([denied, JSON.parse(text).error], [403, 'taint_stale']);
    client.send('still');
    const [heard] = await once(client, 'message');
    equal(String(heard), 'still');
    client.terminate();
  });

  it('taints by an answer that streams, before its first byte', async () => {
    upstream.server.removeAllListeners('request');
    upstream.server.on('request', (request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: one\n\n');
    });
    const stream = await fetch(`http://${address}/firewall/web/a`, { headers: headers() });
    const reader = stream.body?.getReader();
    const first = await reader?.read();
    const { text } = await status('POST', 'plain');
    await reader?.cancel();
    deepEqual(
      [String(Buffer.from(first?.value ?? [])), JSON.parse(text).error],
      ['data: one\n\n', 'taint_stale'],
    );
  });

  it('records a tunnel as a decision like any other, allowed or denied', async () => {
    const credential = header(proof());
    const opened = await tunnelled(address, far.port, credential);
    opened.socket.destroy();
    const refused = await tunnelled(address, 1, credential);
    const nobody = await tunnelled(address, far.port, null);
    deepEqual([opened.status, refused.status, nobody.status], [200, 403, 407]);
    const { records } = await service.records();
    deepEqual(
      records.map(({ reason, route, request }) => [reason, route?.id, request?.method, request?.host]),
      [
        ['allowed', 'firewall:connect:1', 'CONNECT', `127.0.0.1:${far.port}`],
        ['route_unknown', undefined, 'CONNECT', '127.0.0.1:1'],
        ['auth_required', 'firewall:connect:1', 'CONNECT', `127.0.0.1:${far.port}`],
      ],
    );
    equal(records[0]?.actor?.runtime_id, 'bot-1');
    const text = JSON.stringify(records);
    ok(!text.includes(credential), 'a record holds the credential');
  });

  it('takes the runtime of its configuration for local clients that show nothing, once that is said', async () => {
    const before = await tunnelled(address, far.port, null);
    const file = join(service.folder, 'agent.credential');
    writeFileSync(file, header(proof()), { mode: 0o600 });
    await service.reload({
      firewall: {
        listen: '127.0.0.1:0',
        proxy: {
          allow: [`127.0.0.1:${far.port}`],
          scope: ['documents.read'],
          risk: 'low',
          audience: upstream.url,
          credential_file: file,
        },
      },
    });
    const after = await tunnelled(address, far.port, null);
    after.socket.destroy();
    rmSync(file);
    deepEqual([before.status, after.status], [407, 200]);
  });
});

/** Asks for a tunnel as a client with `http://agent:<credential>@…` as its proxy does. */
async function tunnelled(firewall: string, to: number, credential: string | null) {
  const [host, port] = firewall.split(':');
  const socket = connect(Number(port), host).on('error', () => undefined);
  const target = `127.0.0.1:${to}`;
  const basic = Buffer.from(`agent:${credential}`).toString('base64');
  const shown = credential === null ? [] : [`Proxy-Authorization: Basic ${basic}`];
  socket.write([`CONNECT ${target} HTTP/1.1`, `Host: ${target}`, ...shown, '', ''].join('\r\n'));
  const [head] = (await once(socket, 'data')) as [Buffer];
  return { status: Number(head.toString('latin1').split(' ')[1]), socket };
}
