import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import express from 'express';
import type { Browser, Page } from 'playwright-core';
import { lemma } from '../../src/client/express.ts';
import { INSECURE_HOST, needChromium } from '../support/chromium.ts';
import { type Running, running } from '../support/running.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ISSUE_PROOF = '/api/wallet/runtimes/issue-proof';

/** As strict as a page can be served: no eval, no inline script, nobody else's. */
const POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'";

/** A page with the client, an API that asks a PDP, and, at the same origin, the control plane's renewal. */
async function site(service: Running, bundle: string) {
  const server: Server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const app = express();
  app.get('/', (_, response) => {
    response.setHeader('content-security-policy', POLICY);
    response.type('html').send('<!doctype html><title>an agent</title>');
  });
  app.get('/client.js', (_, response) => response.type('js').send(bundle));
  app.post(ISSUE_PROOF, express.raw({ type: () => true }), async (request, response) => {
    const { status, body } = await forwarded(service.app.addresses.control, request.rawHeaders, request.body);
    response.status(status).type('json').send(body);
  });
  const guard = lemma({ pdp: `http://${service.app.addresses.decision}`, scope: [], scheme: 'http' });
  app.use('/v1', guard, express.text({ type: () => true }), (request, response) => {
    response.json({ actor: request.lemma?.actor, body: request.body ?? null });
  });
  app.get('/away', (_, response) => response.redirect(307, '/v1/documents/42'));
  server.on('request', app);
  return { port, close: () => new Promise((done) => server.close(done).closeAllConnections()) };
}

/** To the control plane as it came, the Host that was signed included. */
async function forwarded(address: string, raw: readonly string[], body: Buffer) {
  const { request } = await import('node:http');
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const [host, port] = address.split(':');
    const headers = Object.fromEntries(
      raw.flatMap((name, i) => (i % 2 === 0 ? [[name, raw[i + 1] ?? '']] : [])),
    );
    const asked = request({ host, port, method: 'POST', path: ISSUE_PROOF, headers }, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
    });
    asked.once('error', reject).end(body);
  });
}

function routesFor(host: string, audience: string) {
  const common = { host, path: '/v1/documents/{id}', api: 'documents', audience, taint_on_response: false };
  return [
    {
      ...common,
      id: 'read',
      action: 'documents.read',
      methods: ['GET'],
      scope: ['documents.read'],
      risk: 'low',
    },
    {
      ...{ ...common, id: 'write', action: 'documents.write', methods: ['PUT', 'POST'], body: 'digest' },
      ...{ scope: ['documents.write'], risk: 'high' },
    },
  ];
}

for (const [where, host, extractable] of [
  ['a page that is served securely', '127.0.0.1', false],
  ['a page that is not, which has no WebCrypto', INSECURE_HOST, true],
] as const) {
  describe(`the client in a real browser, on ${where}`, function () {
    this.timeout(60_000);
    let browser: Browser;
    let service: Running;
    let served: Awaited<ReturnType<typeof site>>;
    let page: Page;
    const problems: string[] = [];

    before(async function () {
      browser = await needChromium(this);
      const { outputFiles } = await build({
        ...{ bundle: true, write: false, format: 'iife', globalName: 'lemma', platform: 'browser' },
        stdin: { contents: "export * from 'lemma-authz/client'", resolveDir: ROOT },
      });
      service = await running({ clock: () => Math.floor(Date.now() / 1000) });
      served = await site(service, outputFiles[0]?.text ?? '');
      const origin = `http://${host}:${served.port}`;
      await service.reload({ routes: routesFor(host, origin) });
      page = await browser.newPage();
      page.on('pageerror', (error) => problems.push(error.message));
      await page.goto(origin);
      await page.addScriptTag({ url: '/client.js' });
      const key = (await page.evaluate(`(async () => {
        window.key = await lemma.generateKey();
        return { extractable: key.extractable, public: btoa(String.fromCharCode(...key.publicKey)) };
      })()`)) as { extractable: boolean; public: string };
      assert.equal(key.extractable, extractable);
      const about = { runtime_id: 'page-1', agent_id: 'page', workspace_id: 'prod' };
      await service.control('/api/wallet/runtimes/bootstrap', about);
      const { body } = await service.control(ISSUE_PROOF, {
        ...{ runtime_id: 'page-1', scope: ['documents.*'], audience: [origin] },
        key: Buffer.from(key.public, 'base64').toString('base64url'),
      });
      await page.evaluate(`window.lemmaFetch = lemma.createLemmaFetch({
        credential: ${JSON.stringify(body.credential)}, key, renew: { control: location.origin },
      }); undefined`);
    });
    after(async () => {
      await browser?.close();
      await served?.close();
      await service?.stop();
    });

    const evaluate = (program: string) => page.evaluate(`(async () => { ${program} })()`);

    it('signs a body, and the API sees it', async () => {
      const told = await evaluate(`
        const response = await lemmaFetch('/v1/documents/42?a=ü', { method: 'PUT', body: '{"a":"ü"}' });
        return response.json();`);
      assert.deepEqual((told as { body: string }).body, '{"a":"ü"}');
    });

    it('signs a form whose boundary the browser makes', async () => {
      const told = await evaluate(`
        const form = new FormData();
        form.set('file', new Blob(['abc']), 'a.txt');
        return (await lemmaFetch('/v1/documents/42', { method: 'POST', body: form })).json();`);
      assert.match((told as { body: string }).body, /filename="a.txt"/);
    });

    it('renews, and narrows to a run', async () => {
      const told = await evaluate(`
        const before = lemmaFetch.credential.id;
        const after = (await lemmaFetch.renew()).id;
        const run = await lemmaFetch.narrow({ run_id: 'job-1', operations: 1 });
        const { actor } = await (await run('/v1/documents/42')).json();
        return { renewed: before !== after, run_id: actor.run_id };`);
      assert.deepEqual(told, { renewed: true, run_id: 'job-1' });
    });

    it('says what is denied', async () => {
      const told = await evaluate(`
        const run = await lemmaFetch.narrow({ run_id: 'job-2', operations: 1, scope: ['documents.read'] });
        const asked = run('/v1/documents/42', { method: 'PUT', body: 'x' });
        return asked.catch(({ name, reason, status, decision_id }) => ({ name, reason, status, decided: decision_id.slice(0, 4) }));`);
      assert.deepEqual(told, { name: 'LemmaDenied', reason: 'scope_denied', status: 403, decided: 'dec_' });
    });

    it('does not follow a redirect that it cannot see', async () => {
      // The page's own path stands under the audience, so only the redirect is in the way.
      const told = await evaluate(`return lemmaFetch('/away').catch(({ code }) => code);`);
      assert.equal(told, 'redirected');
    });

    it('stops with a kill', async () => {
      await service.control('/api/wallet/runtimes/page-1/kill', {});
      const told = await evaluate(`
        const denied = await lemmaFetch('/v1/documents/42').catch(({ reason }) => reason);
        const stopped = await lemmaFetch.renew().catch(({ code, reason }) => code + ' ' + reason);
        return [denied, stopped];`);
      assert.deepEqual(told, ['runtime_killed', 'renewal_stopped runtime_killed']);
    });

    it('went against nothing that the page’s policy forbids', () => assert.deepEqual(problems, []));
  });
}
