import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { api, bytesOf, closed, open, send, settled, start, startUpstream, stopAll } from './support.ts';

/** An upload through the firewall, whose body is still to be sent. */
function upload(port: number, headers: Record<string, string> = {}): ClientRequest {
  const outgoing = httpRequest({ port, method: 'POST', path: '/firewall/docs/a', headers, agent: false });
  return outgoing.on('error', () => undefined);
}

/** Sends raw bytes and gives all that is answered until the connection is closed. */
async function raw(port: number, ...lines: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write([...lines, '', ''].join('\r\n'));
  return (await bytesOf(socket)).toString('latin1');
}

describe('firewall: a body on its way to the upstream', () => {
  afterEach(stopAll);

  it('waits where the upstream does not read: the agent has to wait, too', async () => {
    const upstream = await startUpstream((request) => void request.pause());
    const { port } = await start([api({ base_url: upstream.url })], { limits: { bodyBytes: 1000 } });
    const outgoing = upload(port);
    const chunk = Buffer.alloc(64 * 1024);
    let taken = 0;
    for (let i = 0; i < 4096; i++) outgoing.write(chunk, () => void taken++);
    await once(upstream.server, 'request');
    const before = await settled(() => taken);
    outgoing.destroy();
    ok(before < 2048, `${before / 16} of 256 MiB were taken from the agent`);
  });

  it('goes on while it comes, once it is longer than what is decided on', async () => {
    const upstream = await startUpstream((request, response) => {
      request.on('data', (chunk: Buffer) => response.write(`${chunk.length} `));
      request.once('end', () => response.end('end'));
    });
    const { port } = await start([api({ base_url: upstream.url })], { limits: { bodyBytes: 3 } });
    const outgoing = upload(port);
    outgoing.write('four');
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    const heard = [String((await once(response, 'data'))[0])];
    outgoing.write('three');
    heard.push(String((await once(response, 'data'))[0]));
    outgoing.end();
    deepEqual([...heard, (await bytesOf(response)).toString()], ['4 ', '5 ', 'end']);
  });

  it('ends at the upstream, broken, where the agent hangs up within it', async () => {
    const upstream = await startUpstream(() => undefined);
    const { port } = await start([api({ base_url: upstream.url })], { limits: { bodyBytes: 3 } });
    const outgoing = upload(port);
    outgoing.write('four');
    const [request] = (await once(upstream.server, 'request')) as [IncomingMessage];
    const broken = rejects(bytesOf(request), { code: 'ECONNRESET' });
    outgoing.destroy();
    await broken;
  });

  it('is asked for by the firewall itself: Expect stays on this side', async () => {
    const upstream = await startUpstream();
    const { port } = await start([api({ base_url: upstream.url, forward_headers: ['expect'] })]);
    const outgoing = upload(port, { expect: '100-continue', 'content-length': '4' });
    await once(outgoing, 'continue');
    outgoing.end('body');
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    response.resume();
    const { body, headers } = upstream.seen[0] ?? {};
    deepEqual([body, headers?.expect], ['body', undefined]);
  });

  it('leaves its trailers here', async () => {
    const trailers = Promise.withResolvers<NodeJS.Dict<string>>();
    const upstream = await startUpstream(async (request, response) => {
      await bytesOf(request);
      trailers.resolve(request.trailers);
      response.end(String(request.headers.trailer));
    });
    const { port } = await start([api({ base_url: upstream.url, forward_headers: ['trailer', 'x-a'] })]);
    const outgoing = upload(port, { trailer: 'X-A' });
    outgoing.addTrailers({ 'X-A': 'yes' });
    outgoing.end('body');
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    const named = (await bytesOf(response)).toString();
    deepEqual([named, { ...(await trailers.promise) }], ['undefined', {}]);
  });
});

describe('firewall: an answer on its way to the agent', () => {
  afterEach(stopAll);

  for (const [what, headers, expected] of [
    ['chunked', {}, { 'transfer-encoding': 'chunked', 'content-length': undefined }],
    ['with a length', { 'content-length': '4' }, { 'transfer-encoding': undefined, 'content-length': '4' }],
  ] as const) {
    it(`stays ${what}`, async () => {
      const upstream = await startUpstream((_, response) => response.writeHead(200, headers).end('body'));
      const { port } = await start([api({ base_url: upstream.url })]);
      const { headers: got, body } = await send({ port, path: '/firewall/docs/a' });
      const framing = {
        'transfer-encoding': got['transfer-encoding'],
        'content-length': got['content-length'],
      };
      deepEqual([framing, body], [expected, 'body']);
    });
  }

  it('leaves its trailers here', async () => {
    const upstream = await startUpstream((_, response) => {
      response.writeHead(200, { trailer: 'X-A' });
      response.write('body');
      response.addTrailers({ 'X-A': 'yes' });
      response.end();
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    const response = await open({ port, path: '/firewall/docs/a' });
    await bytesOf(response);
    deepEqual([response.headers.trailer, response.trailers], [undefined, {}]);
  });

  it('comes without interim answers', async () => {
    const upstream = await startUpstream((_, response) => {
      response.writeProcessing();
      response.writeEarlyHints({ link: '</a>; rel=preload', 'x-lemma-subject': 'forged' });
      response.end('final');
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    const head = `Host: 127.0.0.1:${port}`;
    const answer = await raw(port, 'GET /firewall/docs/a HTTP/1.1', head, 'Connection: close');
    deepEqual([answer.split('\r\n')[0], answer.match(/HTTP\/1\.1/g)?.length], ['HTTP/1.1 200 OK', 1]);
  });

  it('has no body where HEAD was asked, and the length that GET would have', async () => {
    const upstream = await startUpstream((_, response) => {
      response.writeHead(200, { 'content-length': '1234' }).end();
    });
    const { port } = await start([api({ base_url: upstream.url, methods: ['HEAD'] })]);
    const { headers, body } = await send({ port, method: 'HEAD', path: '/firewall/docs/a' });
    deepEqual([headers['content-length'], body], ['1234', '']);
  });

  for (const status of [204, 304]) {
    it(`has no body by ${status}, and no framing that would promise one`, async () => {
      const upstream = await startUpstream((_, response) =>
        response.writeHead(status, { etag: '"a"' }).end(),
      );
      const { port } = await start([api({ base_url: upstream.url })]);
      const path = '/firewall/docs/a';
      const keep = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
      const answer = await raw(
        port,
        `${keep}GET ${path} HTTP/1.1`,
        `Host: 127.0.0.1:${port}`,
        'Connection: close',
      );
      const heads = answer.split('\r\n\r\n').filter((part) => part !== '');
      equal(heads.length, 2);
      ok(heads.every((one) => one.startsWith(`HTTP/1.1 ${status} `) && !/transfer-encoding/i.test(one)));
    });
  }

  it('is an event stream, event by event, until the agent has heard enough', async () => {
    const connection = Promise.withResolvers<Socket>();
    const upstream = await startUpstream((request, response) => {
      connection.resolve(request.socket);
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
      response.write('data: 1\n\n');
    });
    const { port } = await start([api({ base_url: upstream.url })]);
    const answer = await fetch(`http://127.0.0.1:${port}/firewall/docs/a`);
    const reader = answer.body?.getReader();
    const first = await reader?.read();
    const gone = closed(await connection.promise);
    await reader?.cancel();
    await gone;
    deepEqual(
      [answer.headers.get('content-type'), Buffer.from(first?.value ?? []).toString()],
      ['text/event-stream', 'data: 1\n\n'],
    );
  });

  it('breaks where the upstream falls silent within it', async () => {
    const upstream = await startUpstream((_, response) => void response.write('begun'));
    const { port } = await start([api({ base_url: upstream.url })], { limits: { idleMs: 50 } });
    const response = await open({ port, path: '/firewall/docs/a' });
    await rejects(bytesOf(response), { code: 'ECONNRESET' });
  });

  it('may come before the body was taken: the rest is not waited for', async () => {
    const upstream = await startUpstream((request, response) => {
      request.pause();
      response.writeHead(413).end('too much');
    });
    const { port } = await start([api({ base_url: upstream.url })], { limits: { bodyBytes: 3 } });
    const outgoing = upload(port);
    outgoing.write('four');
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    deepEqual([response.statusCode, (await bytesOf(response)).toString()], [413, 'too much']);
    outgoing.destroy();
  });
});
