import { deepEqual, equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { WebSocket as Client } from 'ws';
import type { ReasonCode } from '../../src/reason.ts';
import { allowed, denied } from '../support/envoy.ts';
import { api, closed, send, settled, start, startEchoing, startUpstream, stopAll } from './support.ts';

const PATH = '/firewall/docs/live?a=1';
/** RFC 6455, section 1.3. */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
const HANDSHAKE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': KEY,
};

/** An upstream that answers a handshake with raw bytes. */
async function answering(bytes: (socket: Socket) => void) {
  const upstream = await startUpstream();
  upstream.server.on('upgrade', (_, socket) => {
    // Only who reads sees that the other side is gone.
    socket.on('error', () => undefined).on('end', () => socket.destroy());
    bytes(socket.resume() as Socket);
  });
  return upstream;
}

function url(port: number): string {
  return `ws://127.0.0.1:${port}${PATH}`;
}

/** The answer to a handshake that is not granted. */
async function refused(port: number, headers: Record<string, string> = HANDSHAKE, method = 'GET') {
  const { status, body } = await send({ port, path: PATH, headers, method });
  return { status, body, error: body.startsWith('{') ? JSON.parse(body).error : null };
}

/** An open WebSocket through the firewall. */
async function opened(port: number): Promise<Client> {
  const client = new Client(url(port));
  await once(client, 'open');
  // One that is reset has its say by `close`, too.
  return client.on('error', () => undefined);
}

describe('firewall: a WebSocket', () => {
  afterEach(stopAll);

  it("carries messages both ways, of Node's own client", async () => {
    const upstream = await startEchoing();
    const { port } = await start([api({ base_url: upstream.url })]);
    const client = new WebSocket(url(port), 'chat');
    const heard = new Promise<string>((resolve, reject) => {
      client.onmessage = ({ data }) => resolve(data as string);
      client.onerror = () => reject(new Error('refused'));
    });
    client.onopen = () => client.send('a'.repeat(100_000));
    equal(await heard, 'a'.repeat(100_000));
    equal(client.protocol, 'chat');
    client.close();
  });

  it('is decided on once, as the request that it begins as', async () => {
    const upstream = await startEchoing();
    const { port, decided } = await start([api({ base_url: upstream.url })]);
    const client = await opened(port);
    for (const text of ['a', 'b']) {
      client.send(text);
      await once(client, 'message');
    }
    client.close();
    deepEqual(
      decided.map(({ method, target, headers }) => [method, target, new Map(headers).get('upgrade')]),
      [['GET', '/live?a=1', 'websocket']],
    );
  });

  it("shows the upstream who acts, not the agent's credential", async () => {
    const upstream = await startEchoing();
    const { port } = await start([api({ base_url: upstream.url })]);
    const headers = { 'x-lemma-credential': 'secret', cookie: 'a=b', te: 'trailers' };
    const client = new Client(url(port), { headers });
    await once(client, 'open');
    client.close();
    const { headers: got = {}, url: target } = upstream.handshakes[0] ?? {};
    deepEqual(
      [target, got['x-lemma-subject'], got['x-lemma-credential'], got.cookie, got.te, got.connection],
      ['/live?a=1', 'did:lemma:ppid_1', undefined, undefined, undefined, 'Upgrade'],
    );
  });

  it('tells the agent the decision', async () => {
    const upstream = await startEchoing();
    const { port } = await start([api({ base_url: upstream.url })]);
    const client = new Client(url(port));
    const [answer] = (await once(client, 'upgrade')) as [IncomingMessage];
    client.terminate();
    equal(answer.headers['x-lemma-decision-id'], 'dec_1');
  });

  it('is closed towards the agent as the upstream closes it', async () => {
    const upstream = await startEchoing();
    const { port } = await start([api({ base_url: upstream.url })]);
    const client = await opened(port);
    upstream.peers[0]?.close(4001, 'enough');
    const [code, reason] = await once(client, 'close');
    deepEqual([code, String(reason)], [4001, 'enough']);
  });

  it('ends at the upstream when the agent is gone', async () => {
    const upstream = await startEchoing();
    const { port } = await start([api({ base_url: upstream.url })]);
    const client = await opened(port);
    const [peer] = upstream.peers;
    ok(peer !== undefined);
    const gone = once(peer, 'close');
    client.terminate();
    await gone;
  });

  it('has to wait where the agent does not read', async () => {
    const upstream = await startEchoing();
    const { port } = await start([api({ base_url: upstream.url })]);
    const client = await opened(port);
    client.pause();
    const [peer] = upstream.peers;
    ok(peer !== undefined);
    const chunk = Buffer.alloc(64 * 1024);
    let taken = 0;
    for (let i = 0; i < 4096; i++) peer.send(chunk, () => void taken++);
    const before = await settled(() => taken);
    client.terminate();
    ok(before < 2048, `${before / 16} of 256 MiB were taken from the upstream`);
  });

  it('has to wait where the upstream does not read', async () => {
    const upstream = await startEchoing();
    const { port } = await start([api({ base_url: upstream.url })]);
    const client = await opened(port);
    upstream.peers[0]?.pause();
    const chunk = Buffer.alloc(64 * 1024);
    let taken = 0;
    for (let i = 0; i < 4096; i++) client.send(chunk, () => void taken++);
    const before = await settled(() => taken);
    client.terminate();
    upstream.peers[0]?.terminate();
    ok(before < 2048, `${before / 16} of 256 MiB were taken from the agent`);
  });

  it('ends when nothing has passed for long', async () => {
    const upstream = await startEchoing();
    const { port } = await start([api({ base_url: upstream.url })], { limits: { idleMs: 50 } });
    await once(await opened(port), 'close');
  });

  it('ends with the firewall', async () => {
    const upstream = await startEchoing();
    const { port, firewall } = await start([api({ base_url: upstream.url })]);
    await Promise.all([closed(await opened(port)), firewall.close()]);
  });

  it('begins with what the agent sent too early', async () => {
    const upstream = await startEchoing();
    const { port } = await start([api({ base_url: upstream.url })]);
    const socket = connect(port, '127.0.0.1');
    const head = [`GET ${PATH} HTTP/1.1`, `Host: 127.0.0.1:${port}`];
    for (const [name, value] of Object.entries(HANDSHAKE)) head.push(`${name}: ${value}`);
    // A masked text frame, "hi".
    const frame = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]);
    socket.write(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), frame]));
    let got = Buffer.alloc(0);
    for await (const chunk of socket) {
      got = Buffer.concat([got, chunk as Buffer]);
      if (got.subarray(-4).equals(Buffer.from([0x81, 2, 0x68, 0x69]))) break;
    }
    ok(got.toString('latin1').startsWith('HTTP/1.1 101 '));
  });
});

describe('firewall: a WebSocket that is not let through', () => {
  afterEach(stopAll);

  it('is answered with the denial, and the upstream hears nothing', async () => {
    const upstream = await startEchoing();
    const { port } = await start([api({ base_url: upstream.url })], {
      decide: () => denied('method_not_allowed'),
    });
    const { status, error } = await refused(port);
    deepEqual([status, error, upstream.handshakes], [403, 'method_not_allowed', []]);
  });

  it("is answered with the upstream's own refusal", async () => {
    const upstream = await startUpstream((_, response) => response.writeHead(429).end('later'));
    const { port } = await start([api({ base_url: upstream.url })]);
    const { status, body } = await refused(port);
    deepEqual([status, body], [429, 'later']);
  });

  it('is 502 where the upstream cannot be reached', async () => {
    const { port } = await start([api()]);
    deepEqual((await refused(port)).error, 'upstream_unavailable');
  });

  it('is 502 where the upstream is where none may be', async () => {
    const { port } = await start([api({ base_url: 'http://api.test' })], {
      resolve: async () => ['169.254.169.254'],
    });
    deepEqual((await refused(port)).error, 'upstream_refused');
  });

  for (const [what, lines] of [
    ['another key', 'upgrade: websocket\r\nsec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA='],
    ['another protocol', `upgrade: h2c\r\nsec-websocket-accept: ${ACCEPT}`],
    ['no accept', 'upgrade: websocket'],
  ] as const) {
    it(`is 502 where the upstream's answer is for ${what}`, async () => {
      const upstream = await answering((socket) => {
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n${lines}\r\n\r\n`);
      });
      const { port } = await start([api({ base_url: upstream.url })]);
      deepEqual((await refused(port)).error, 'upstream_unavailable');
    });
  }

  for (const [what, headers, method] of [
    ['HTTP/2 in the clear', { ...HANDSHAKE, upgrade: 'h2c' }, 'GET'],
    ['two protocols', { ...HANDSHAKE, upgrade: 'websocket, h2c' }, 'GET'],
    ['another version', { ...HANDSHAKE, 'sec-websocket-version': '8' }, 'GET'],
    ['another method', HANDSHAKE, 'OPTIONS'],
  ] as const) {
    it(`is 501 for ${what}, even if that were allowed`, async () => {
      const upstream = await startEchoing();
      const { port } = await start([api({ base_url: upstream.url })]);
      const { status, error } = await refused(port, headers, method);
      deepEqual([status, error, upstream.handshakes], [501, 'upgrade_unsupported', []]);
    });
  }

  it('is refused undecided with a body', async () => {
    const { port, decided } = await start([api()]);
    const { error } = await refused(port, { ...HANDSHAKE, 'content-length': '3' });
    deepEqual([error, decided], ['header_ambiguous', []]);
  });

  it('is refused undecided of a page from elsewhere', async () => {
    const { port, decided } = await start([api()]);
    const { error } = await refused(port, { ...HANDSHAKE, origin: 'https://evil.example' });
    deepEqual([error, decided], ['header_ambiguous', []]);
  });
});

/** A firewall whose one runtime can be stopped. */
async function stoppable(base_url: string, taint?: () => Promise<void>) {
  const live: { why: ReasonCode | null; changed: () => void } = { why: null, changed: () => undefined };
  const running = await start([api({ base_url })], {
    decide: () => allowed({ stopped: () => live.why, taintOnResponse: taint !== undefined }),
    watch: (changed) => {
      live.changed = changed;
      return () => undefined;
    },
    taint: async () => {
      await taint?.();
      live.why = 'taint_stale';
    },
  });
  const stop = (why: ReasonCode) => {
    live.why = why;
    live.changed();
  };
  return { ...running, stop };
}

describe('firewall: a runtime that is stopped', () => {
  afterEach(stopAll);

  for (const why of [
    'runtime_killed',
    'runtime_inactive',
    'revoked',
    'taint_stale',
    'proof_expired',
  ] as const) {
    it(`has its WebSockets ended at both ends: ${why}`, async () => {
      const upstream = await startEchoing();
      const { port, stop } = await stoppable(upstream.url);
      const client = await opened(port);
      const ends = Promise.all([client, ...upstream.peers].map(closed));
      stop(why);
      await ends;
    });
  }

  it('keeps a WebSocket whose own answer has tainted it, whatever taints it again', async () => {
    const upstream = await startEchoing();
    const { port, stop } = await stoppable(upstream.url, async () => undefined);
    const client = await opened(port);
    stop('taint_stale');
    client.send('still');
    const [heard] = await once(client, 'message');
    equal(String(heard), 'still');
    client.terminate();
  });

  it('has no WebSocket opened while the upstream still thinks about it', async () => {
    const upstream = await answering(() => undefined);
    const asked = once(upstream.server, 'upgrade');
    const { port, stop } = await stoppable(upstream.url);
    const answer = refused(port);
    const [, socket] = (await asked) as [IncomingMessage, Socket];
    const gone = closed(socket);
    stop('runtime_killed');
    const { status, error } = await answer;
    await gone;
    deepEqual([status, error], [403, 'runtime_killed']);
  });

  it('has its answers cut, too', async () => {
    const upstream = await startUpstream((_, response) => void response.write('begun'));
    const { port, stop } = await stoppable(upstream.url);
    const outgoing = httpRequest({ port, path: '/firewall/docs/a', agent: false }).end();
    outgoing.on('error', () => undefined);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    await once(response, 'data');
    const broken = once(response, 'error');
    stop('runtime_killed');
    const [error] = await broken;
    equal(error.code, 'ECONNRESET');
  });

  it('is told so where nothing of the answer had come yet', async () => {
    const upstream = await startUpstream(() => undefined);
    const asked = once(upstream.server, 'request');
    const { port, stop } = await stoppable(upstream.url);
    const answer = send({ port, path: '/firewall/docs/a' });
    await asked;
    stop('revoked');
    const { status, body, headers } = await answer;
    deepEqual(
      [status, JSON.parse(body), headers['x-lemma-decision-id']],
      [403, { success: false, error: 'revoked', decision_id: 'dec_1' }, 'dec_1'],
    );
  });

  it('gets an answer whole that began before a taint, or before its proof ended', async () => {
    let end: () => void = () => undefined;
    const upstream = await startUpstream((_, response) => {
      response.write('a');
      end = () => response.end('b');
    });
    const { port, stop } = await stoppable(upstream.url);
    const asked = once(upstream.server, 'request');
    const answer = send({ port, path: '/firewall/docs/a' });
    await asked;
    stop('taint_stale');
    stop('proof_expired');
    end();
    equal((await answer).body, 'ab');
  });
});

describe('firewall: taint by a WebSocket', () => {
  afterEach(stopAll);

  it('is in force before the agent hears that it is open', async () => {
    const upstream = await startEchoing();
    const asked = Promise.withResolvers<void>();
    const durable = Promise.withResolvers<void>();
    const steps: string[] = [];
    const { port } = await stoppable(upstream.url, async () => {
      asked.resolve();
      await durable.promise;
      steps.push('tainted');
    });
    const open = opened(port).then((client) => {
      steps.push('open');
      client.terminate();
    });
    await asked.promise;
    // The upstream has agreed: were that passed on now, it would arrive within this time.
    await new Promise((resolve) => setTimeout(resolve, 50));
    deepEqual(steps, []);
    durable.resolve();
    await open;
    deepEqual(steps, ['tainted', 'open']);
  });

  it('keeps it closed where it cannot be recorded', async () => {
    const upstream = await startEchoing();
    const { port } = await stoppable(upstream.url, () => Promise.reject(new Error('disk full')));
    const { status, error } = await refused(port);
    deepEqual([status, error], [503, 'state_not_ready']);
    const [peer] = upstream.peers;
    if (peer !== undefined && peer.readyState !== peer.CLOSED) await once(peer, 'close');
  });
});
