import { deepEqual, equal, match, notEqual } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { stringify } from 'yaml';
import { type RunningEnvoy, startEnvoy } from '../../tools/envoy/envoy.ts';
import { tempFolder } from '../authority/support.ts';
import { lemma } from '../cli/lemma.ts';
import {
  type Certificate,
  type CertificateAuthority,
  certificateAuthority,
  needOpenssl,
} from '../support/certificates.ts';
import { DOCUMENT } from '../support/envoy-attacks.ts';
import { send } from '../support/envoy-client.ts';
import { lemmaConfig, needEnvoy, portOf } from '../support/envoy-scene.ts';
import { startUpstream, type Upstream } from '../support/envoy-upstream.ts';
import { bearing, chain } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';
import { SERVED_ROUTES, type Serving, serving } from '../support/serving.ts';

const LEMMA = 'spiffe://acme/ns/prod/sa/lemma';
const ENVOY = 'spiffe://acme/ns/prod/sa/envoy';

describe('lemma serve with TLS', function () {
  this.timeout(60_000);
  const folder = tempFolder();
  let authority: CertificateAuthority;
  let service: Serving;
  const live = { cert: join(folder.path, 'live.pem'), key: join(folder.path, 'live.key') };
  const issue = (name: string) => authority.issue(name, { names: ['DNS:localhost', 'IP:127.0.0.1'] });

  function put({ cert, key }: Certificate): void {
    copyFileSync(cert, live.cert);
    copyFileSync(key, live.key);
  }

  before(async function () {
    needOpenssl(this);
    authority = certificateAuthority(folder.path);
    put(issue('first'));
    const listener = { address: '127.0.0.1:0', tls: live };
    const listen = { grpc: [listener], decision: '127.0.0.1:0', control: listener };
    writeFileSync(join(folder.path, 'lemma.yaml'), stringify({ listen, routes: SERVED_ROUTES }));
    service = await serving(folder.path);
  });
  after(async () => {
    await service?.end('SIGTERM');
    folder.remove();
  });

  /** Serial numbers of what the gRPC and the control listener show a new connection. */
  async function serials(): Promise<string[]> {
    const addresses = [service.addresses.grpc[0] ?? '', service.addresses.control];
    return Promise.all(
      addresses.map(async (address) => {
        const port = Number(address.split(':').at(-1));
        const ca = readFileSync(authority.cert);
        const socket = connect({ host: '127.0.0.1', port, ca, ALPNProtocols: ['h2', 'http/1.1'] });
        await once(socket, 'secureConnect');
        const number = socket.getPeerX509Certificate()?.serialNumber ?? '';
        socket.destroy();
        return number;
      }),
    );
  }

  const serialOf = ({ cert }: Certificate) => new X509Certificate(readFileSync(cert)).serialNumber;

  it('serves a renewed certificate as soon as its files are there', async () => {
    const from = service.notes.length;
    const next = issue('second');
    put(next);
    await service.noted(/Configuration reloaded/, from);
    deepEqual(await serials(), [serialOf(next), serialOf(next)]);
  });

  it('goes on with the old certificate when the new one is no good', async () => {
    const before = await serials();
    const from = service.notes.length;
    writeFileSync(live.cert, 'half a certificate');
    await service.noted(/CONFIGURATION NOT RELOADED/, from);
    deepEqual(await serials(), before);
  });

  it('says which file of which listener is no good', async () => {
    const from = service.notes.length;
    copyFileSync(issue('third').cert, live.cert);
    await service.noted(/CONFIGURATION NOT RELOADED/, from);
    match(
      service.notes.slice(from).join('\n'),
      /listen\.grpc\.tls\.key: .*must be the certificate's private key/,
    );
  });

  const decisions = (env: Record<string, string> = {}) => {
    const base = `https://localhost:${service.addresses.control.split(':').at(-1)}`;
    return lemma(folder.path, ['decisions', 'list', '--json', '--api-base', base], env);
  };

  it('is operated over https by who trusts its authority', async () => {
    equal((await decisions({ NODE_EXTRA_CA_CERTS: authority.cert })).code, 0);
  });

  it('is not operated by who does not trust it', async () => {
    notEqual((await decisions()).code, 0);
  });
});

describe('Envoy and Lemma over mTLS', function () {
  this.timeout(60_000);
  const folder = tempFolder();
  const envoys: RunningEnvoy[] = [];
  let authority: CertificateAuthority;
  let binary: string;
  let upstream: Upstream;
  let service: Running;

  before(async function () {
    needOpenssl(this);
    binary = await needEnvoy(this);
    authority = certificateAuthority(folder.path);
    const own = authority.issue('lemma', { names: [`URI:${LEMMA}`] });
    const tls = { ...own, client_ca: authority.cert, peers: [ENVOY] };
    const config = lemmaConfig([]);
    const grpc = { address: '127.0.0.1:0', tls };
    service = await running({ config: { ...config, listen: { ...(config.listen as object), grpc } } });
    upstream = await startUpstream();
  });
  after(async () => {
    for (const envoy of envoys.splice(0)) await envoy.stop();
    await service?.stop();
    await upstream?.close();
    folder.remove();
  });

  /** The sample's Envoy with this identity, asked for a document with a good proof; the status. */
  async function ask(file: string, identity: string, expected = LEMMA): Promise<number> {
    const { cert, key } = authority.issue(file, { names: [`URI:${identity}`] });
    const envoy = await startEnvoy(binary, {
      lemma: portOf(service),
      upstream: upstream.port,
      tls_cert: cert,
      tls_key: key,
      tls_ca: authority.cert,
      tls_lemma: expected,
    });
    envoys.push(envoy);
    return (await send(envoy.port, bearing(chain(), { path: DOCUMENT }))).status;
  }

  it('let a request through, and the record names the Envoy', async () => {
    equal(await ask('envoy', ENVOY), 200);
    const { records } = await service.records();
    deepEqual(
      records.map((record) => record.enforcement_point),
      [ENVOY],
    );
  });

  it('let nothing through an Envoy that is not on the list', async () => {
    equal(await ask('other', `${ENVOY}-2`), 403);
  });

  it('let nothing through when Envoy expects another Lemma', async () => {
    equal(await ask('again', ENVOY, `${LEMMA}-2`), 403);
  });
});
