import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { certificateAuthority, needOpenssl } from '../support/certificates.ts';
import { api, send, start, startUpstream, stopAll } from './support.ts';

/** A resolver that answers with one list after another, the last for ever, and counts how often it was asked. */
function answering(...answers: readonly (readonly string[])[]) {
  const asked: string[] = [];
  const resolve = async (host: string) => {
    asked.push(host);
    return answers[Math.min(asked.length, answers.length) - 1] ?? [];
  };
  return { resolve, asked };
}

/** An upstream on this machine, under a name that a resolver would have to give. */
async function named() {
  const upstream = await startUpstream();
  return { ...upstream, base_url: upstream.url.replace('127.0.0.1', 'api.test') };
}

describe('firewall: where an upstream may be', () => {
  afterEach(stopAll);

  for (const [what, addresses] of [
    ['loopback', ['127.0.0.1']],
    ['private', ['10.1.2.3']],
    ['link-local', ['169.254.169.254']],
    ['loopback', ['::ffff:127.0.0.1']],
    ['link-local', ['64:ff9b::169.254.169.254']],
    ['link-local', ['93.184.216.34', '169.254.169.254']],
  ] as const) {
    it(`is not ${what}, where a name is at ${addresses}: 502, and nothing is sent`, async () => {
      const upstream = await named();
      const { port, errors } = await start([api({ base_url: upstream.base_url })], answering(addresses));
      const { status, body } = await send({ port, path: '/firewall/docs/a' });
      const { error, decision_id } = JSON.parse(body);
      deepEqual([status, error, decision_id, upstream.seen], [502, 'upstream_refused', 'dec_1', []]);
      const { err, ...facts } = errors[0] as { err: Error };
      deepEqual(facts, { api: 'docs', decision_id: 'dec_1' });
      match(err.message, new RegExp(`^api\\.test is at .*, which is ${what}: `));
      ok(addresses.every((address) => !body.includes(address)));
    });
  }

  it('is this machine under any name where the api says allow_private', async () => {
    const upstream = await named();
    const { port } = await start(
      [api({ base_url: upstream.base_url, allow_private: true })],
      answering(['127.0.0.1']),
    );
    equal((await send({ port, path: '/firewall/docs/a' })).status, 200);
    equal(upstream.seen[0]?.headers.host, new URL(upstream.base_url).host);
  });

  for (const address of ['169.254.169.254', '0.0.0.0', '::', 'ff02::1', 'fd00:ec2::254']) {
    it(`is not ${address}, whatever the api says`, async () => {
      const { port } = await start(
        [api({ base_url: 'http://api.test', allow_private: true })],
        answering([address]),
      );
      const { body } = await send({ port, path: '/firewall/docs/a' });
      equal(JSON.parse(body).error, 'upstream_refused');
    });
  }

  for (const host of [
    '169.254.169.254',
    '0.0.0.0',
    '[::]',
    '0xa9fea9fe',
    '[::ffff:a9fe:a9fe]',
    '2852039166',
  ]) {
    it(`is not ${host}, where base_url names the address itself`, async () => {
      const { port } = await start([api({ base_url: `http://${host}`, allow_private: true })]);
      const { status, body } = await send({ port, path: '/firewall/docs/a' });
      deepEqual([status, JSON.parse(body).error], [502, 'upstream_refused']);
    });
  }

  for (const host of ['localhost', 'api.localhost', '127.0.0.1', '2130706433', '0x7f.1', '0177.0.0.1']) {
    it(`is this machine where base_url says so: ${host}`, async () => {
      const upstream = await startUpstream();
      const base_url = upstream.url.replace('127.0.0.1', host);
      const { port } = await start([api({ base_url })], answering(['127.0.0.1']));
      equal((await send({ port, path: '/firewall/docs/a' })).status, 200);
    });
  }

  it('is no private network because its name is localhost', async () => {
    const { port } = await start([api({ base_url: 'http://localhost' })], answering(['10.0.0.1']));
    equal((await send({ port, path: '/firewall/docs/a' })).status, 502);
  });

  it('is 502 where a name has no address', async () => {
    const { port } = await start([api({ base_url: 'http://api.test' })], answering([]));
    const { status, body } = await send({ port, path: '/firewall/docs/a' });
    deepEqual([status, JSON.parse(body).error], [502, 'upstream_unavailable']);
  });
});

describe('firewall: a name that is rebound', () => {
  afterEach(stopAll);

  it('is reached at the address that was checked: it is resolved once for a connection', async () => {
    const upstream = await named();
    const rebinding = answering(['127.0.0.1'], ['169.254.169.254']);
    const { port } = await start([api({ base_url: upstream.base_url, allow_private: true })], rebinding);
    const { status } = await send({ port, path: '/firewall/docs/a' });
    deepEqual([status, rebinding.asked], [200, ['api.test']]);
  });

  it('is refused once it is elsewhere, for a connection that is made then', async () => {
    const upstream = await named();
    const rebinding = answering(['127.0.0.1'], ['169.254.169.254']);
    const { port } = await start([api({ base_url: upstream.base_url, allow_private: true })], rebinding);
    const ended = once(upstream.server, 'connection').then(([socket]) => once(socket, 'close'));
    await send({ port, path: '/firewall/docs/a' });
    upstream.server.closeIdleConnections();
    await ended;
    const { body } = await send({ port, path: '/firewall/docs/b' });
    deepEqual([JSON.parse(body).error, upstream.seen.map(({ url }) => url)], ['upstream_refused', ['/a']]);
  });

  it('does not get a kept connection of an api that may go where it may not', async () => {
    const upstream = await named();
    const apis = [
      api({ id: 'inside', base_url: upstream.base_url, allow_private: true }),
      api({ id: 'outside', base_url: upstream.base_url }),
    ];
    const { port } = await start(apis, answering(['127.0.0.1']));
    const inside = await send({ port, path: '/firewall/inside/a' });
    const outside = await send({ port, path: '/firewall/outside/a' });
    deepEqual([inside.status, outside.status], [200, 502]);
  });
});

describe('firewall: an upstream with TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-firewall-'));
  const trusted = getCACertificates('default');
  before(function () {
    needOpenssl(this);
  });
  afterEach(stopAll);
  after(() => {
    setDefaultCACertificates(trusted);
    rmSync(folder, { recursive: true, force: true });
  });

  it('is known by its name, at the address that was checked', async () => {
    const authority = certificateAuthority(folder);
    const { cert, key } = authority.issue('api', { names: ['DNS:api.test'] });
    setDefaultCACertificates([...trusted, readFileSync(authority.cert, 'utf8')]);
    const names: unknown[] = [];
    const server = createTlsServer(
      { cert: readFileSync(cert), key: readFileSync(key) },
      (request, response) => {
        names.push((request.socket as TLSSocket).servername, request.headers.host);
        response.end('ok');
      },
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port: at } = server.address() as AddressInfo;
    try {
      const { port } = await start(
        [api({ base_url: `https://api.test:${at}`, allow_private: true })],
        answering(['127.0.0.1'], ['169.254.169.254']),
      );
      const { status } = await send({ port, path: '/firewall/docs/a' });
      deepEqual([status, names], [200, ['api.test', `api.test:${at}`]]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
