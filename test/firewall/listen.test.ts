import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../../src/reason.ts';
import { denied } from '../support/envoy.ts';
import { api, bytesOf, open, send, start, startUpstream, stopAll } from './support.ts';

describe('firewall: who is served', () => {
  afterEach(stopAll);

  for (const host of ['127.0.0.1', 'localhost', '[::1]', 'LOCALHOST']) {
    it(`Host ${host}`, async () => {
      const { port, decided } = await start([api()], { decide: () => denied('auth_required') });
      await send({ port, path: '/firewall/docs/a', headers: { host: `${host}:${port}` } });
      equal(decided.length, 1);
    });
  }

  for (const host of [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    '[::2]',
    'unix:x',
    '',
  ]) {
    it(`not Host "${host}": refused before any decision`, async () => {
      const { port, decided } = await start([api()]);
      const { status, body } = await send({
        port,
        path: '/firewall/docs/a',
        headers: { host: `${host}:${port}` },
      });
      const { success, error, request_id } = JSON.parse(body);
      deepEqual(
        [status, success, error, typeof request_id, decided],
        [403, false, 'header_ambiguous', 'string', []],
      );
    });
  }

  for (const host of ['127.0.0.1', '127.0.0.1:1', 'localhost:']) {
    it(`not Host ${host}: another port`, async () => {
      const { port } = await start([api()]);
      equal((await send({ port, path: '/firewall/docs/a', headers: { host } })).status, 403);
    });
  }

  it('not two Host lines', async () => {
    const { port, decided } = await start([api()]);
    const status = await raw(
      port,
      `GET /firewall/docs/a HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nHost: evil\r\n`,
    );
    deepEqual([status.startsWith('HTTP/1.1 4'), decided], [true, []]);
  });

  for (const origin of [
    'https://evil.example',
    'null',
    'http://localhost',
    'https://localhost:PORT',
    'http://localhost:PORT.evil',
  ]) {
    it(`not Origin ${origin}`, async () => {
      const { port, decided } = await start([api()]);
      const headers = { origin: origin.replace('PORT', String(port)) };
      const { status } = await send({ port, path: '/firewall/docs/a', headers });
      deepEqual([status, decided], [403, []]);
    });
  }

  it('a page of its own origin', async () => {
    const { port, decided } = await start([api()], { decide: () => denied('auth_required') });
    await send({ port, path: '/firewall/docs/a', headers: { origin: `http://127.0.0.1:${port}` } });
    equal(decided.length, 1);
  });

  it('not a cross-site request without an Origin', async () => {
    const { port, decided } = await start([api()]);
    await send({ port, path: '/firewall/docs/a', headers: { 'sec-fetch-site': 'cross-site' } });
    deepEqual(decided, []);
  });

  it('not a body in a coding that the upstream would not be told of', async () => {
    const { port, decided } = await start([api()]);
    const head = `POST /firewall/docs/a HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n`;
    const status = await raw(port, `${head}Transfer-Encoding: gzip, chunked\r\n`, '0\r\n\r\n');
    deepEqual([status, decided], ['HTTP/1.1 403 Forbidden', []]);
  });
});

/** Status line of the answer to raw bytes. */
async function raw(port: number, head: string, body = ''): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${head}\r\n${body}`);
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return bytes.toString('latin1').split('\r\n')[0] ?? '';
}

describe('firewall: what is decided on', () => {
  afterEach(stopAll);

  it('is a body seen whole up to the limit', async () => {
    const { port, decided } = await start([api()], {
      decide: () => denied('auth_required'),
      limits: { bodyBytes: 4 },
    });
    await send({ port, method: 'POST', path: '/firewall/docs/a', body: 'abcd' });
    deepEqual(decided[0]?.body, { seen: Buffer.from('abcd'), partial: false, size: 4 });
  });

  it('is a body over the limit as truncated', async () => {
    const { port, decided } = await start([api()], {
      decide: () => denied('auth_required'),
      limits: { bodyBytes: 3 },
    });
    await send({ port, method: 'POST', path: '/firewall/docs/a', body: 'abcd' });
    const { partial, size } = decided[0]?.body ?? {};
    deepEqual([partial, size], [true, 4]);
  });

  it('is a request without a body as such', async () => {
    const { port, decided } = await start([api()], { decide: () => denied('auth_required') });
    await send({ port, path: '/firewall/docs/a' });
    deepEqual(decided[0]?.body, { seen: null, partial: false, size: 0 });
  });

  it('is what the agent signed, too', async () => {
    const { port, decided } = await start([api()], { decide: () => denied('auth_required') });
    await send({ port, path: '/firewall/docs/a//b?c', headers: { host: `LocalHost:${port}` } });
    deepEqual(decided[0]?.signed, {
      scheme: 'http',
      host: `LocalHost:${port}`,
      target: '/firewall/docs/a//b?c',
    });
  });
});

describe('firewall: start, replace and close', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-firewall-'));
  const secret = (text: string, mode = 0o600) => {
    const value_file = join(folder, 'secret');
    writeFileSync(value_file, text);
    chmodSync(value_file, mode);
    return api({ inject: { header: 'authorization', value_file } });
  };
  afterEach(stopAll);
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const [name, text, mode] of [
    ['that others can read', 'Bearer a', 0o644],
    ['with two lines', 'Bearer a\r\nX-Evil: b', 0o600],
    ['that is empty', '\n', 0o600],
    ['that is no ASCII', 'Bearer é', 0o600],
  ] as const) {
    it(`refuses a secret ${name}, without saying it`, async () => {
      const error = await start([secret(text, mode)]).catch((e: unknown) => e);
      ok(error instanceof InputError);
      equal(error.problems[0]?.field, 'firewall.apis[0].inject.value_file');
      ok(!error.message.includes('Bearer'));
    });
  }

  it('refuses a secret that is a link', async () => {
    const one = secret('Bearer a');
    const link = join(folder, 'link');
    symlinkSync(one.inject?.value_file ?? '', link);
    await rejects(start([api({ inject: { header: 'authorization', value_file: link } })]), InputError);
  });

  it('refuses an address in use', async () => {
    const { port } = await start([]);
    await rejects(start([], { address: `127.0.0.1:${port}` }), InputError);
  });

  it('refuses a socket', () => rejects(start([], { address: 'unix:///tmp/x' }), InputError));

  it('serves the apis that replace the first', async () => {
    const upstream = await startUpstream();
    const { port, firewall } = await start([api()]);
    await firewall.replace({ apis: [api({ id: 'other', base_url: upstream.url })] });
    const answers = [
      await send({ port, path: '/firewall/other/a' }),
      await send({ port, path: '/firewall/docs/a' }),
    ];
    deepEqual(
      answers.map(({ status }) => status),
      [200, 403],
    );
  });

  it('keeps the running apis where their replacement is refused', async () => {
    const upstream = await startUpstream();
    const { port, firewall } = await start([api({ base_url: upstream.url })]);
    await rejects(firewall.replace({ apis: [api({ path_prefixes: ['/*'] })] }), InputError);
    equal((await send({ port, path: '/firewall/docs/a' })).status, 200);
  });

  it('closes after what is under way', async () => {
    let end: () => void = () => undefined;
    const upstream = await startUpstream((_, response) => {
      response.write('a');
      end = () => response.end('b');
    });
    const { port, firewall } = await start([api({ base_url: upstream.url })]);
    const response = await open({ port, path: '/firewall/docs/a' });
    const closed = firewall.close();
    end();
    equal((await bytesOf(response)).toString(), 'ab');
    await closed;
  });

  it('cuts what lasts longer than it waits', async () => {
    const upstream = await startUpstream((_, response) => void response.write('a'));
    const { port, firewall } = await start([api({ base_url: upstream.url })], { limits: { drainMs: 20 } });
    const response = await open({ port, path: '/firewall/docs/a' });
    await Promise.all([firewall.close(), rejects(bytesOf(response))]);
  });
});
