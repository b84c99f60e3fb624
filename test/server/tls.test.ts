import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { Client, credentials } from '@grpc/grpc-js';
import { InputError } from '../../src/reason.ts';
import type { TlsFiles } from '../../src/schema/config.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import { startDecisionServer } from '../../src/server/decision-api.ts';
import { type GrpcServer, startGrpc } from '../../src/server/grpc.ts';
import type { HttpServer } from '../../src/server/http.ts';
import { checkMethod, loadProtos } from '../../src/server/proto.ts';
import { isPeer, nameOf, readTls } from '../../src/server/tls.ts';
import { tempFolder } from '../authority/support.ts';
import {
  type Certificate,
  type CertificateAuthority,
  certificateAuthority,
  needOpenssl,
} from '../support/certificates.ts';
import { memoryLog, scripted } from './support.ts';

const ENVOY = 'spiffe://acme/ns/prod/sa/envoy';

describe('TLS', () => {
  const folder = tempFolder();
  let authority: CertificateAuthority;
  let server: Certificate;
  let envoy: Certificate;

  before(function () {
    needOpenssl(this);
    authority = certificateAuthority(folder.path);
    server = authority.issue('server', { names: ['DNS:localhost', 'IP:127.0.0.1'] });
    envoy = authority.issue('envoy', { names: [`URI:${ENVOY}`, 'DNS:envoy.local'] });
  });
  after(() => folder.remove());

  const filesOf = (over: Partial<TlsFiles> = {}): TlsFiles => ({
    ...server,
    client_ca: null,
    peers: null,
    ...over,
  });

  describe('files', () => {
    const complaints = (files: TlsFiles): string[] => {
      try {
        readTls(files, 'listen.decision');
      } catch (error) {
        assert.ok(error instanceof InputError);
        return error.problems.map(({ field }) => field);
      }
      return [];
    };

    it('are each named when they cannot be read', () => {
      const files = { cert: '/nowhere/a', key: '/nowhere/b', client_ca: '/nowhere/c', peers: null };
      const names = ['cert', 'key', 'client_ca'].map((member) => `listen.decision.tls.${member}`);
      assert.deepEqual(complaints(files), names);
    });

    it('refuse a key that is not the certificate’s', () => {
      assert.deepEqual(complaints(filesOf({ key: envoy.key })), ['listen.decision.tls.key']);
    });

    it('refuse a certificate that is none', () => {
      assert.deepEqual(complaints(filesOf({ cert: server.key })), ['listen.decision.tls.cert']);
    });

    it('refuse an authority that is none', () => {
      const empty = join(folder.path, 'empty.pem');
      writeFileSync(empty, '');
      assert.deepEqual(complaints(filesOf({ client_ca: empty })), ['listen.decision.tls.client_ca']);
    });
  });

  describe('names in a client certificate', () => {
    const named = (file: string, names: string[], subject?: string) => {
      const { cert } = authority.issue(file, { names, ...(subject === undefined ? {} : { subject }) });
      return nameOf(new X509Certificate(readFileSync(cert)));
    };

    it('are its SPIFFE ID before its DNS name', () =>
      assert.equal(named('n1', ['DNS:envoy.local', `URI:${ENVOY}`]), ENVOY));
    it('are its first DNS name without one', () =>
      assert.equal(named('n2', ['DNS:envoy.local', 'DNS:other']), 'envoy.local'));
    it('are its subject without either', () =>
      assert.equal(named('n3', [], '/O=acme/CN=envoy'), 'O=acme,CN=envoy'));
    it('are nobody with two URIs', () =>
      assert.equal(named('n4', [`URI:${ENVOY}`, 'URI:spiffe://acme/other']), null));
    it('cannot be forged by a comma within a value', () => {
      const subjectAltName = `URI:"https://a/?, URI:${ENVOY}"`;
      assert.equal(nameOf({ subjectAltName, subject: '' }), `https://a/?, URI:${ENVOY}`);
    });
  });

  describe('a list of peers', () => {
    it('takes the identity that it names', () => assert.ok(isPeer([ENVOY], ENVOY)));
    it('takes all below a path', () => assert.ok(isPeer(['spiffe://acme/ns/prod/*'], ENVOY)));
    it('takes no identity that only begins like one', () => assert.ok(!isPeer([ENVOY], `${ENVOY}-2`)));
    it('takes no path that only begins like one', () =>
      assert.ok(!isPeer(['spiffe://acme/ns/pro/*'], ENVOY)));
    it('takes nobody who is not named', () => assert.ok(!isPeer(['spiffe://acme/*'], null)));
  });

  const clientOf = (client: Certificate | null) =>
    client === null ? {} : { cert: readFileSync(client.cert), key: readFileSync(client.key) };

  /** Serial number of the certificate that a new connection is shown. */
  async function serial({ address }: { address: string }, more: ConnectionOptions = {}): Promise<string> {
    const [host, port] = address.split(':');
    const socket: TLSSocket = connect({
      host,
      port: Number(port),
      ca: readFileSync(authority.cert),
      ...more,
    });
    await once(socket, 'secureConnect');
    const number = socket.getPeerX509Certificate()?.serialNumber ?? '';
    socket.destroy();
    return number;
  }

  const LEGACY = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' } as const;

  /** A certificate's files that can be replaced. */
  function renewable(name: string) {
    const live = { cert: join(folder.path, `${name}.pem`), key: join(folder.path, `${name}.key`) };
    const put = (from: Certificate) => {
      copyFileSync(from.cert, live.cert);
      copyFileSync(from.key, live.key);
    };
    put(server);
    const names = ['DNS:localhost', 'IP:127.0.0.1'];
    return { live, renew: () => put(authority.issue(`${name}-renewed`, { names })) };
  }

  /** What any listener does with its clients; `asked` is what came through to be decided. */
  function choosesItsClients<Server>(
    start: (files: TlsFiles) => Promise<Server>,
    check: (to: Server, client?: Certificate) => Promise<unknown>,
    asked: () => readonly AuthzRequest[],
  ): void {
    it('answers over TLS', async () => {
      const answer = (await check(await start(filesOf()))) as { status?: unknown };
      assert.ok('status' in answer);
    });

    it('takes no client without a certificate where it names an authority', async () => {
      await assert.rejects(check(await start(filesOf({ client_ca: authority.cert }))));
      assert.equal(asked().length, 0);
    });

    it('takes no client of another authority', async () => {
      const foreign = certificateAuthority(folder.path, 'foreign').issue('f1', { names: [`URI:${ENVOY}`] });
      await assert.rejects(check(await start(filesOf({ client_ca: authority.cert })), foreign));
      assert.equal(asked().length, 0);
    });

    it('takes no client that is not on its list', async () => {
      const other = authority.issue('other', { names: ['URI:spiffe://acme/ns/prod/sa/other'] });
      await assert.rejects(check(await start(filesOf({ client_ca: authority.cert, peers: [ENVOY] })), other));
      assert.equal(asked().length, 0);
    });

    it('knows the enforcement point that asks', async () => {
      await check(await start(filesOf({ client_ca: authority.cert, peers: [ENVOY] })), envoy);
      assert.equal(asked()[0]?.enforcementPoint, ENVOY);
    });

    it('knows nobody where no certificate is asked for', async () => {
      await check(await start(filesOf()), envoy);
      assert.equal(asked()[0]?.enforcementPoint, undefined);
    });
  }

  describe('an HTTP listener', () => {
    const running: HttpServer[] = [];
    const { decide, asked } = scripted();
    afterEach(async () => {
      asked.length = 0;
      for (const one of running.splice(0)) await one.close();
    });

    async function start(files: TlsFiles): Promise<HttpServer> {
      const tls = readTls(files, 'listen.decision');
      const { log } = memoryLog();
      const one = await startDecisionServer({ address: '127.0.0.1:0', decide, ready: () => true, log, tls });
      running.push(one);
      return one;
    }

    async function check({ address }: HttpServer, client: Certificate | null = null): Promise<unknown> {
      const sent = request(`https://${address}/envoy.service.auth.v3.Authorization/Check`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        ca: readFileSync(authority.cert),
        agent: false,
        ...clientOf(client),
      });
      sent.end('{}');
      const [response] = await once(sent, 'response');
      return json(response);
    }

    it('takes no TLS before 1.2', async () => {
      await assert.rejects(serial(await start(filesOf()), LEGACY));
    });

    choosesItsClients(start, check, () => asked);

    it('serves a renewed certificate to new connections, and goes on with those that are open', async () => {
      const { live, renew } = renewable('http');
      const one = await start(filesOf(live));
      const before = await serial(one);
      renew();
      one.tls?.renew(readTls(filesOf(live), 'listen.decision'));
      assert.notEqual(await serial(one), before);
    });

    it('binds a socket with the permissions that it is told', async () => {
      const path = join(folder.path, 'd.sock');
      const { log } = memoryLog();
      running.push(
        await startDecisionServer({ address: `unix://${path}`, mode: 0o600, decide, ready: () => true, log }),
      );
      assert.equal(statSync(path).mode & 0o777, 0o600);
    });
  });

  describe('the gRPC listener', () => {
    const running: GrpcServer[] = [];
    const clients: Client[] = [];
    const { decide, asked } = scripted();
    afterEach(async () => {
      asked.length = 0;
      for (const one of clients.splice(0)) one.close();
      for (const one of running.splice(0)) await one.drain();
    });

    async function start(files: TlsFiles): Promise<GrpcServer> {
      const { log } = memoryLog();
      const tls = readTls(files, 'listen.grpc');
      const one = await startGrpc({ address: '127.0.0.1:0', decide, ready: () => true, log, tls });
      running.push(one);
      return one;
    }

    async function check({ address }: GrpcServer, client: Certificate | null = null): Promise<unknown> {
      const ca = readFileSync(authority.cert);
      const { key, cert } = clientOf(client);
      // grpc-js takes no address for a server's name.
      const named = address.replace('127.0.0.1', 'localhost');
      const made = new Client(named, credentials.createSsl(ca, key, cert));
      clients.push(made);
      return new Promise((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = checkMethod(loadProtos());
        made.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, (error, answer) =>
          error === null ? resolve(answer) : reject(error),
        );
      });
    }

    it('takes no TLS before 1.2', async () => {
      await assert.rejects(serial(await start(filesOf()), { ...LEGACY, ALPNProtocols: ['h2'] }));
    });

    it('speaks h2 alone', async () => {
      await assert.rejects(serial(await start(filesOf()), { ALPNProtocols: ['http/1.1'] }));
    });

    choosesItsClients(start, check, () => asked);

    it('serves a renewed certificate to new connections', async () => {
      const { live, renew } = renewable('grpc');
      const one = await start(filesOf(live));
      const h2 = { ALPNProtocols: ['h2'] };
      const before = await serial(one, h2);
      renew();
      one.tls?.renew(readTls(filesOf(live), 'listen.grpc'));
      assert.notEqual(await serial(one, h2), before);
    });

    it('lets a connection that is open go on when its certificate is renewed', async () => {
      const { live, renew } = renewable('open');
      const one = await start(filesOf(live));
      const session = connectHttp2(`https://${one.address}`, { ca: readFileSync(authority.cert) });
      await once(session, 'connect');
      renew();
      one.tls?.renew(readTls(filesOf(live), 'listen.grpc'));
      await new Promise((resolve, reject) =>
        session.ping((error) => (error === null ? resolve(null) : reject(error))),
      );
      session.destroy();
    });
  });
});
