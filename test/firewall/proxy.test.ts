import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTlsServer, type Server } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProxyAgent, request } from 'undici';
import type { ReasonCode } from '../../src/reason.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import { certificateAuthority, needOpenssl } from '../support/certificates.ts';
import { allowed, denied } from '../support/envoy.ts';
import {
  api,
  bytesOf,
  closed,
  proxy,
  type Scripted,
  send,
  settled,
  start,
  startEcho,
  startUpstream,
  stopAll,
} from './support.ts';

const SHOWN = ['x-lemma-credential', 'secret'];

/** Allows who shows `secret`, as the requests of real clients do; what no entry covers is denied, as by `decide`. */
function decide(asked: AuthzRequest) {
  if (asked.unrouted !== undefined) return denied('route_unknown');
  const credential = asked.headers.find(([name]) => name === 'x-lemma-credential')?.[1];
  return credential === SHOWN[1] ? allowed() : denied('auth_required');
}

const folder = mkdtempSync(join(tmpdir(), 'lemma-firewall-'));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Tunnel {
  readonly head: string;
  readonly socket: Socket;
}

/** Asks for a tunnel and reads the head of the answer, and its body where it is denied. */
async function tunnelTo(port: number, target: string, lines: readonly string[] = []): Promise<Tunnel> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  socket.write([`CONNECT ${target} HTTP/1.1`, `Host: ${target}`, ...lines, '', ''].join('\r\n'));
  let head = '';
  while (!head.includes('\r\n\r\n')) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    head += chunk.toString('latin1');
  }
  return { head, socket };
}

const showing = ['X-Lemma-Credential: secret'];

describe('firewall: a tunnel', () => {
  let server: Awaited<ReturnType<typeof startEcho>>;
  beforeEach(async () => {
    server = await startEcho();
  });
  afterEach(stopAll);
  const through = (options: Scripted = {}) =>
    start([], { decide, proxy: proxy({ allow: [`127.0.0.1:${server.port}`] }), ...options });
  const opened = async (options: Scripted = {}) => {
    const running = await through(options);
    return { ...running, ...(await tunnelTo(running.port, `127.0.0.1:${server.port}`, showing)) };
  };

  it('carries bytes both ways, and ends as either side ends', async () => {
    const { head, socket, decided } = await opened();
    equal(head, 'HTTP/1.1 200 Connection established\r\nx-lemma-decision-id: dec_1\r\n\r\n');
    const sent = Buffer.alloc(1_000_000, 'abc');
    socket.end(sent);
    deepEqual(await bytesOf(socket), sent);
    deepEqual(
      decided.map(({ method, host, target, routeId }) => [method, host, target, routeId]),
      [['CONNECT', `127.0.0.1:${server.port}`, '/', 'firewall:connect:1']],
    );
  });

  it('is denied with the reason and the decision, and connects to nobody', async () => {
    const { port, decided } = await through();
    const { head, socket } = await tunnelTo(port, '127.0.0.1:1', showing);
    socket.destroy();
    const [line, body] = [head.split('\r\n')[0], head.split('\r\n\r\n')[1] ?? ''];
    equal(line, 'HTTP/1.1 403 Forbidden');
    match(head, /\r\nx-lemma-decision-id: dec_1\r\n/);
    deepEqual(JSON.parse(body), { success: false, error: 'route_unknown', decision_id: 'dec_1' });
    match(String(decided[0]?.unrouted), /firewall\.proxy\.allow has no entry for 127\.0\.0\.1:1/);
  });

  it('leads nowhere it may not, even if that were allowed', async () => {
    const { port } = await through({ decide: () => allowed() });
    const { head, socket } = await tunnelTo(port, 'evil.example:443');
    socket.destroy();
    match(head, /^HTTP\/1\.1 403 .*"route_unknown"/s);
  });

  it('is not there without a proxy', async () => {
    const { port, decided } = await start([], { decide });
    const { head, socket } = await tunnelTo(port, `127.0.0.1:${server.port}`, showing);
    socket.destroy();
    match(head, /^HTTP\/1\.1 403 /);
    match(String(decided[0]?.unrouted), /firewall\.proxy is not configured/);
  });

  it('asks for the credential that is its own: 407', async () => {
    const { port } = await through();
    const { head, socket } = await tunnelTo(port, `127.0.0.1:${server.port}`);
    socket.destroy();
    match(head, /^HTTP\/1\.1 407 .*\r\nproxy-authenticate: Basic realm="lemma"\r\n.*"auth_required"/s);
  });

  it('is refused undecided where Host says another target', async () => {
    const { port, decided } = await through();
    const socket = connect(port, '127.0.0.1');
    socket.write(`CONNECT 127.0.0.1:${server.port} HTTP/1.1\r\nHost: evil.example\r\n\r\n`);
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    match(bytes.toString(), /^HTTP\/1\.1 403 .*header_ambiguous/s);
    deepEqual(decided, []);
  });

  it('is 502 where nobody listens', async () => {
    const { port } = await through({ proxy: proxy({ allow: ['127.0.0.1:1'] }) });
    const { head, socket } = await tunnelTo(port, '127.0.0.1:1', showing);
    socket.destroy();
    match(head, /^HTTP\/1\.1 502 .*"upstream_unavailable".*"dec_1"/s);
  });

  for (const address of ['127.0.0.1', '10.0.0.1', '169.254.169.254', '::ffff:169.254.169.254']) {
    it(`is 502 where a listed name is at ${address}`, async () => {
      const { port, errors } = await through({
        proxy: proxy({ allow: [`api.test:${server.port}`] }),
        resolve: async () => [address],
      });
      const { head, socket } = await tunnelTo(port, `api.test:${server.port}`, showing);
      socket.destroy();
      match(head, /^HTTP\/1\.1 502 .*"upstream_refused".*"dec_1"/s);
      equal(errors.length, 1);
      deepEqual(server.connections, []);
    });
  }

  it('leads to a listed name on this machine where allow_private says so, at the address that was checked', async () => {
    const answers = [['127.0.0.1'], ['169.254.169.254']];
    const { port } = await through({
      proxy: proxy({
        allow: [`*.test:${server.port}`],
        audience: 'https://egress.example',
        allow_private: true,
      }),
      resolve: async () => answers.shift() ?? [],
    });
    const { head, socket } = await tunnelTo(port, `api.test:${server.port}`, showing);
    socket.destroy();
    match(head, /^HTTP\/1\.1 200 /);
    equal(answers.length, 1);
  });

  it('ends when nothing has passed for long', async () => {
    const { socket } = await opened({ limits: { idleMs: 50 } });
    socket.resume();
    await once(socket, 'end');
  });

  it('ends with the firewall', async () => {
    const { socket, firewall } = await opened();
    socket.resume();
    await Promise.all([firewall.close(), closed(socket)]);
  });

  it('makes the sender wait where the other side does not read', async () => {
    const { socket } = await opened();
    const [far] = server.connections;
    ok(far !== undefined);
    far.unpipe().pause();
    const chunk = Buffer.alloc(64 * 1024);
    let taken = 0;
    for (let i = 0; i < 4096; i++) socket.write(chunk, () => void taken++);
    const before = await settled(() => taken);
    socket.destroy();
    ok(before < 2048, `${before / 16} of 256 MiB were taken`);
  });

  for (const why of ['runtime_killed', 'runtime_inactive', 'taint_stale'] as const) {
    it(`ends at both ends when its runtime is stopped: ${why}`, async () => {
      const live: { why: ReasonCode | null; changed: () => void } = { why: null, changed: () => undefined };
      const { socket } = await opened({
        decide: () => allowed({ stopped: () => live.why }),
        watch: (changed) => {
          live.changed = changed;
          return () => undefined;
        },
      });
      const [far] = server.connections;
      ok(far !== undefined);
      const ends = [socket.resume(), far].map(closed);
      live.why = why;
      live.changed();
      await Promise.all(ends);
    });
  }

  it('is open once its runtime is tainted, and not before', async () => {
    const durable = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const steps: string[] = [];
    const { port } = await through({
      decide: () => allowed({ taintOnResponse: true }),
      taint: async (_, { api: name }) => {
        asked.resolve();
        await durable.promise;
        steps.push(`tainted by ${name}`);
      },
    });
    const open = tunnelTo(port, `127.0.0.1:${server.port}`).then(({ socket }) => {
      steps.push('open');
      socket.destroy();
    });
    await asked.promise;
    // The connection stands: were that said now, it would arrive within this time.
    await new Promise((resolve) => setTimeout(resolve, 50));
    deepEqual(steps, []);
    durable.resolve();
    await open;
    deepEqual(steps, [`tainted by 127.0.0.1:${server.port}`, 'open']);
  });

  it('stays closed where the taint cannot be recorded', async () => {
    const { port } = await through({
      decide: () => allowed({ taintOnResponse: true }),
      taint: () => Promise.reject(new Error('disk full')),
    });
    const { head, socket } = await tunnelTo(port, `127.0.0.1:${server.port}`);
    socket.destroy();
    match(head, /^HTTP\/1\.1 503 .*"state_not_ready"/s);
  });
});

describe('firewall: a client of the proxy that shows nothing', () => {
  afterEach(stopAll);

  it('acts as the runtime that the configuration names, by its credential of now', async () => {
    const credential_file = join(folder, 'credential');
    writeFileSync(credential_file, 'before\n', { mode: 0o600 });
    const upstream = await startUpstream();
    const { port } = await start([api({ base_url: upstream.url })], {
      decide,
      proxy: proxy({ credential_file }),
    });
    const status = async () =>
      (await send({ port, path: `${upstream.url}/a`, headers: hostOf(upstream.url) })).status;
    const first = await status();
    writeFileSync(credential_file, 'secret\n');
    deepEqual([first, await status()], [407, 200]);
  });

  it('is nobody where the file is gone, and that is logged', async () => {
    const credential_file = join(folder, 'gone');
    writeFileSync(credential_file, 'secret\n', { mode: 0o600 });
    const upstream = await startUpstream();
    const { port, errors } = await start([api({ base_url: upstream.url })], {
      decide,
      proxy: proxy({ credential_file }),
    });
    rmSync(credential_file);
    const { status } = await send({ port, path: `${upstream.url}/a`, headers: hostOf(upstream.url) });
    deepEqual([status, errors.length], [407, 1]);
  });

  it('does not start with a file that others can read', async () => {
    const credential_file = join(folder, 'open');
    writeFileSync(credential_file, 'secret\n', { mode: 0o644 });
    const error = await start([], { proxy: proxy({ credential_file }) }).catch((e: unknown) => e);
    match(String(error), /firewall\.proxy\.credential_file: .*is open to others/);
  });

  it('gets nothing of it by the reverse proxy', async () => {
    const credential_file = join(folder, 'reverse');
    writeFileSync(credential_file, 'secret\n', { mode: 0o600 });
    const upstream = await startUpstream();
    const { port } = await start([api({ base_url: upstream.url })], {
      decide,
      proxy: proxy({ credential_file }),
    });
    const { status, headers } = await send({ port, path: '/firewall/docs/a' });
    deepEqual([status, headers['proxy-authenticate']], [401, undefined]);
  });
});

function hostOf(url: string): { host: string } {
  return { host: new URL(url).host };
}

describe('firewall: plain HTTP by the proxy', () => {
  afterEach(stopAll);

  it("is the api's: decided as such, sent as such, with its key", async () => {
    const value_file = join(folder, 'key');
    writeFileSync(value_file, 'Bearer real\n', { mode: 0o600 });
    const upstream = await startUpstream();
    const inject = { header: 'authorization', value_file };
    const { port, decided } = await start([api({ base_url: upstream.url, inject })], {
      decide,
      proxy: proxy(),
    });
    const headers = { ...hostOf(upstream.url), 'proxy-authorization': 'Bearer secret' };
    const { status } = await send({ port, path: `${upstream.url}/a?b=c`, headers });
    const { url, headers: got } = upstream.seen[0] ?? {};
    deepEqual(
      [status, url, got?.authorization, got?.['proxy-authorization'], got?.['x-lemma-credential']],
      [200, '/a?b=c', 'Bearer real', undefined, undefined],
    );
    deepEqual(
      [decided[0]?.routeId, decided[0]?.signed],
      ['firewall.docs', { scheme: 'http', host: new URL(upstream.url).host, target: '/a?b=c' }],
    );
  });

  it('is denied where no api covers it, and nothing is sent', async () => {
    const upstream = await startUpstream();
    const { port } = await start([], { decide, proxy: proxy() });
    const headers = { ...hostOf(upstream.url), 'x-lemma-credential': 'secret' };
    const { status, body } = await send({ port, path: `${upstream.url}/a`, headers });
    deepEqual([status, JSON.parse(body).error, upstream.seen], [403, 'route_unknown', []]);
  });

  it('gets redirects as the upstream says them: its client comes back with the next one by itself', async () => {
    const upstream = await startUpstream((_, response) => response.writeHead(302, { location: '/b' }).end());
    const { port } = await start([api({ base_url: upstream.url })], { decide, proxy: proxy() });
    const headers = { ...hostOf(upstream.url), 'x-lemma-credential': 'secret' };
    equal((await send({ port, path: `${upstream.url}/a`, headers })).headers.location, '/b');
  });

  it('is refused undecided where Host says another', async () => {
    const { port, decided } = await start([api({ base_url: 'http://api.test' })], { decide, proxy: proxy() });
    const { status } = await send({ port, path: 'http://api.test/a', headers: { host: 'evil.example' } });
    deepEqual([status, decided], [403, []]);
  });
});

/** What a program printed, and how it ended. */
async function run(command: string, args: string[], env: Record<string, string> = {}) {
  const child: ChildProcess = spawn(command, args, {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err, [code]] = await Promise.all([
    bytesOf(child.stdout as never),
    bytesOf(child.stderr as never),
    once(child, 'close'),
  ]);
  return { code, out: out.toString(), err: err.toString() };
}

/** Skips aloud where a program is not there; under CI that is a failure. */
async function need(suite: Mocha.Context, command: string): Promise<void> {
  try {
    await run(command, ['--version']);
  } catch (cause) {
    if (process.env.CI) throw cause;
    console.warn(`skipped: no ${command} on the PATH`);
    suite.skip();
  }
}

describe('firewall: real clients behind HTTPS_PROXY', () => {
  let server: Server;
  let ca: string;
  let origin: string;
  before(async function () {
    needOpenssl(this);
    const authority = certificateAuthority(folder, 'proxy-ca');
    const made = authority.issue('proxied', { names: ['IP:127.0.0.1'] });
    ca = authority.cert;
    const files = { cert: readFileSync(made.cert), key: readFileSync(made.key) };
    server = createTlsServer(files, (asked, answer) => answer.end(`hello of ${asked.url}`)).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server?.closeAllConnections();
    server?.close();
  });
  afterEach(stopAll);
  const through = () => start([], { decide, proxy: proxy({ allow: [new URL(origin).host] }) });
  const proxyUrl = (port: number, who = 'agent:secret@') => `http://${who}127.0.0.1:${port}`;

  it('curl', async function () {
    await need(this, 'curl');
    const { port, decided } = await through();
    const curl = (who: string, to: string) =>
      run('curl', ['-sS', '--cacert', ca, '-x', proxyUrl(port, who), '-w', ' %{http_connect}', to]);
    equal((await curl('agent:secret@', `${origin}/a`)).out, 'hello of /a 200');
    equal((await curl('', `${origin}/a`)).out, ' 407');
    equal((await curl('agent:secret@', 'https://127.0.0.1:1/a')).out, ' 403');
    deepEqual(
      decided.map(({ method }) => method),
      ['CONNECT', 'CONNECT', 'CONNECT'],
    );
  });

  it("undici's ProxyAgent", async () => {
    const { port } = await through();
    const token = `Basic ${Buffer.from('agent:secret').toString('base64')}`;
    const dispatcher = new ProxyAgent({
      uri: proxyUrl(port, ''),
      token,
      requestTls: { ca: readFileSync(ca, 'utf8') },
    });
    try {
      const { statusCode, body } = await request(`${origin}/b`, { dispatcher });
      deepEqual([statusCode, await body.text()], [200, 'hello of /b']);
    } finally {
      await dispatcher.destroy();
    }
  });

  it("Node's fetch, by the environment alone", async () => {
    const { port } = await through();
    const script = `fetch('${origin}/c').then((r) => r.text()).then(console.log)`;
    const { out, err } = await run(process.execPath, ['-e', script], {
      NODE_USE_ENV_PROXY: '1',
      HTTPS_PROXY: proxyUrl(port),
      NODE_EXTRA_CA_CERTS: ca,
    });
    equal(out.trim(), 'hello of /c', err);
  });

  it("Python's urllib, by the environment alone", async function () {
    await need(this, 'python3');
    const { port } = await through();
    const script = `import urllib.request, ssl
print(urllib.request.urlopen("${origin}/d", context=ssl.create_default_context(cafile="${ca}")).read().decode())`;
    const { out, err } = await run('python3', ['-c', script], { HTTPS_PROXY: proxyUrl(port) });
    equal(out.trim(), 'hello of /d', err);
  });
});

describe('firewall: real clients behind HTTP_PROXY', () => {
  afterEach(stopAll);
  const through = async () => {
    const upstream = await startUpstream();
    const running = await start([api({ base_url: upstream.url })], { decide, proxy: proxy() });
    return { ...running, upstream, proxyUrl: `http://agent:secret@127.0.0.1:${running.port}` };
  };

  it('curl', async function () {
    await need(this, 'curl');
    const { upstream, proxyUrl } = await through();
    const { out } = await run('curl', ['-sS', '-x', proxyUrl, '-w', ' %{http_code}', `${upstream.url}/a`]);
    equal(out, 'ok 200');
  });

  it("Node's http, by the environment alone", async () => {
    const { upstream, proxyUrl } = await through();
    const script = `require('http').get('${upstream.url}/a', (r) => r.pipe(process.stdout))`;
    const { out, err } = await run(process.execPath, ['-e', script], {
      NODE_USE_ENV_PROXY: '1',
      HTTP_PROXY: proxyUrl,
    });
    equal(out, 'ok', err);
  });

  it("Python's urllib, by the environment alone", async function () {
    await need(this, 'python3');
    const { upstream, proxyUrl } = await through();
    const script = `import urllib.request; print(urllib.request.urlopen("${upstream.url}/a").read().decode())`;
    const { out, err } = await run('python3', ['-c', script], { http_proxy: proxyUrl });
    equal(out.trim(), 'ok', err);
  });
});
