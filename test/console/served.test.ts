import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';

const FIRST_LOAD = 150 * 1024;
const SOURCES = fileURLToPath(new URL('../../src/console', import.meta.url));

describe('the console, as it is served', function () {
  this.timeout(60_000);
  const folder = emptyFolder();
  let scene: Scene;
  before(async function () {
    scene = await consoleScene(this, folder.path);
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${scene.origin}${path}`, { headers, redirect: 'manual' });
  const assetsOf = async () =>
    [...(await (await get(BASE)).text()).matchAll(/(?:src|href)="(\/console\/[^"]+)"/g)].map(
      ([, path]) => path ?? '',
    );

  it('lets no page but its own files act, and no string become a script', async () => {
    const policy = (await get(BASE)).headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
    assert.match(policy, /frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'$/);
    assert.doesNotMatch(policy, /unsafe|https?:|\*|data:/);
  });

  it('serves the same page for each of its own paths, and the wallet', async () => {
    for (const path of ['', '/decisions/dec_0000000000000000000000/explain'])
      assert.match(await (await get(`${BASE}${path}`)).text(), /<title>Agent Ops/);
    assert.match(await (await get('/wallet')).text(), /<title>Wallet/);
  });

  it('names assets by what they hold, to be kept for ever', async () => {
    for (const path of await assetsOf()) {
      assert.match(path, /^\/console\/[a-z-]+-[\w-]{8}\.(?:js|css|svg)$/);
      assert.equal((await get(path)).headers.get('cache-control'), 'public, max-age=31536000, immutable');
    }
  });

  it('answers 304 to who has the page', async () => {
    const etag = (await get(BASE)).headers.get('etag') ?? '';
    assert.equal((await get(BASE, { 'if-none-match': etag })).status, 304);
  });

  it(`loads at first at most ${FIRST_LOAD} bytes over the wire`, async () => {
    const page = await (await get(BASE)).arrayBuffer();
    const sizes = (await assetsOf()).map((path) => {
      const file = readFileSync(join(SOURCES, 'built', path));
      return gzipSync(file, { level: 9 }).length;
    });
    const bytes = sizes.reduce((sum, one) => sum + one, gzipSync(Buffer.from(page)).length);
    assert.ok(bytes <= FIRST_LOAD, `${bytes} bytes`);
  });

  it('sends assets as gzip', async () => {
    const { request } = await import('node:http');
    const [path = ''] = (await assetsOf()).filter((one) => one.endsWith('.js'));
    const body = await new Promise<Buffer>((resolve, reject) => {
      request(`${scene.origin}${path}`, { headers: { 'accept-encoding': 'gzip' } }, async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk as Buffer);
        resolve(Buffer.concat(chunks));
      })
        .once('error', reject)
        .end();
    });
    assert.deepEqual(gunzipSync(body), readFileSync(join(SOURCES, 'built', path)));
  });

  it('leads from an address to the site, where a session can be', async () => {
    const response = await fetch(`http://${scene.service.addresses.control}${BASE}/alerts?a=1`, {
      redirect: 'manual',
    });
    assert.equal(response.headers.get('location'), `${scene.origin}${BASE}/alerts?a=1`);
  });

  it('makes nothing of markup: no source sets HTML', () => {
    const sources = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter(
      (path) => /\.tsx?$/.test(path) && !path.startsWith('built'),
    );
    const guilty = sources.filter((path) =>
      /innerHTML|outerHTML|insertAdjacentHTML|dangerouslySet|document\.write|\beval\(|new Function/.test(
        readFileSync(join(SOURCES, path), 'utf8'),
      ),
    );
    assert.deepEqual(guilty, []);
    assert.ok(sources.length > 0);
  });

  describe('the way in', () => {
    let page: Page;
    before(async () => {
      page = await scene.newPage();
    });

    it('asks who is there', async () => {
      await page.goto(`${scene.origin}${BASE}`);
      await page.getByRole('heading', { name: 'Sign in to this control plane' }).waitFor();
    });

    it('says what is wrong with a key', async () => {
      await page.getByLabel('Or paste the key').fill('lm_ak_nothing');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('alert').getByText('This is an API key').waitFor();
    });

    it('refuses the key of a stranger', async () => {
      await page.getByLabel('Or paste the key').fill('A'.repeat(43));
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('alert').getByText('auth_required').waitFor();
    });

    it('lets the owner in by his key file', async () => {
      await page.locator('input[type=file]').setInputFiles({
        name: 'operator-root.key',
        mimeType: 'text/plain',
        buffer: Buffer.from(scene.ownerKey),
      });
      await page.getByRole('navigation', { name: 'Agent Ops' }).waitFor();
    });

    it('knows him after the page was loaded again', async () => {
      await page.reload();
      await page.getByRole('navigation', { name: 'Agent Ops' }).waitFor();
    });

    it('lets him out', async () => {
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByRole('heading', { name: 'Sign in to this control plane' }).waitFor();
    });

    it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
  });
});
