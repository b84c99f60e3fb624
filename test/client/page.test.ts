import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { keyFromSeed } from '../../src/client/index.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { type Running, running } from '../support/running.ts';
import { placed, programs } from './page.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Has a program say when it listens: the page's have nobody to say it to. */
const SAYS_WHEN = `data:text/javascript,${encodeURIComponent(
  `import net from 'node:net';
  const { listen } = net.Server.prototype;
  net.Server.prototype.listen = function (...args) {
    this.once('listening', () => console.log('listening'));
    return listen.apply(this, args);
  };`,
)}`;

describe('the programs of the page on client libraries, as they stand but for where things are', function () {
  this.timeout(60_000);
  const [agent = '', express = '', fastify = ''] = programs('js');
  const children: ChildProcess[] = [];
  let folder: string;
  let service: Running;
  let apis: { express: string; fastify: string };

  before(async () => {
    // Within the package, so that its own name is found; git ignores the folder.
    mkdirSync(join(ROOT, '.tmp'), { recursive: true });
    folder = mkdtempSync(join(ROOT, '.tmp', 'readme-'));
    const [one, other] = [await freePort(), await freePort()];
    apis = { express: `http://127.0.0.1:${one}`, fastify: `http://127.0.0.1:${other}` };
    service = await running({
      clock: () => Math.floor(Date.now() / 1000),
      config: { routes: [route('127.0.0.1', apis.express), route('fastify.example.com', apis.fastify)] },
    });
    const seed = new Uint8Array(32).fill(3);
    const credential = await onboard((await keyFromSeed(seed)).publicKey);
    mkdirSync(join(folder, '.lemma'));
    writeFileSync(join(folder, '.lemma/my-runtime.proof.json'), JSON.stringify(credential));
    writeFileSync(join(folder, '.lemma/my-runtime.key'), toBase64url(seed));
    const pdp = `http://${service.app.addresses.decision}`;
    await serve('express', placed(express, { 'http://127.0.0.1:8181': pdp, '3000': String(one) }));
    const places = {
      ...{ 'https://api.example.com': apis.fastify, '3001': String(other), "'local'": "'acme'" },
      ...{ "'default'": "'prod'", '<public key of your authority>': await authorityKey() },
    };
    await serve('fastify', placed(fastify, places));
  });
  after(async () => {
    for (const child of children.filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    )) {
      child.kill();
      await once(child, 'exit');
    }
    await service?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function route(host: string, audience: string) {
    return {
      ...{ id: host, host, path: '/v1/documents/{id}', methods: ['GET'], api: 'documents', audience },
      ...{ action: 'documents.read', scope: ['documents.read'], risk: 'low', body: 'none' },
      taint_on_response: false,
    };
  }

  async function onboard(publicKey: Uint8Array): Promise<unknown> {
    const about = { runtime_id: 'my-runtime', agent_id: 'agent', workspace_id: 'prod' };
    await service.control('/api/wallet/runtimes/bootstrap', about);
    const { body } = await service.control('/api/wallet/runtimes/issue-proof', {
      ...{ runtime_id: 'my-runtime', key: toBase64url(publicKey), scope: ['documents.read'] },
      audience: Object.values(apis),
    });
    return body.credential;
  }

  async function authorityKey(): Promise<string> {
    const { body } = await service.control('/api/wallet/keys');
    const keys = body.keys as { use: string; x: string }[];
    return keys.find(({ use }) => use === 'authority')?.x ?? '';
  }

  function start(name: string, program: string): ChildProcess {
    const file = join(folder, `${name}.mjs`);
    writeFileSync(file, program);
    const child = spawn(process.execPath, ['--import', SAYS_WHEN, file], { cwd: folder });
    children.push(child);
    return child;
  }

  /** Resolves when it listens. */
  async function serve(name: string, program: string): Promise<void> {
    const child = start(name, program);
    assert.ok(child.stdout && child.stderr);
    const errors: string[] = [];
    child.stderr.on('data', (chunk) => errors.push(String(chunk)));
    const gone = once(child, 'exit').then(() => Promise.reject(new Error(errors.join(''))));
    gone.catch(() => undefined);
    await Promise.race([once(createInterface({ input: child.stdout }), 'line'), gone]);
  }

  async function act(api: string): Promise<string> {
    const control = `http://${service.app.addresses.control}`;
    const places = { 'https://api.example.com': api, 'http://127.0.0.1:8080': control };
    const child = start('agent', placed(agent, places));
    assert.ok(child.stdout && child.stderr);
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => said.push(String(chunk)));
    await once(child, 'close');
    return said.join('');
  }

  it('the agent reads from the Express API', async () => {
    assert.equal(await act(apis.express), "{ id: '1', for: 'my-runtime' }\n");
  });

  it('the agent reads from the Fastify API', async () => {
    assert.match(await act(apis.fastify), /runtime_id: 'my-runtime'.*run_id: 'nightly'/s);
  });

  it('what the Fastify API says is open is', async () => {
    assert.equal(await (await fetch(`${apis.fastify}/healthz`)).text(), 'ok');
  });

  it('after a kill the agent is told so', async () => {
    await service.control('/api/wallet/runtimes/my-runtime/kill', {});
    assert.match(await act(apis.express), /^runtime_killed 403 dec_[\w-]{22}\n$/);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}
