import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { fromBase64url, toBase64url } from '../../src/crypto/base64url.ts';
import type { Bundle } from '../../src/policy/bundle.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { told } from '../pdp/support.ts';
import { republished } from '../policy/support.ts';
import { person } from '../server/people.ts';
import { needChromium } from './chromium.ts';
import { type Serving, serving } from './serving.ts';

const BUILD = fileURLToPath(new URL('../../tools/console/build.ts', import.meta.url));
export const BASE = '/admin/agent-ops';

/** The console of a real service, in a real browser. */
export interface Scene {
  readonly service: Serving;
  readonly browser: Browser;
  /** As people reach it: `http://localhost:<port>`. */
  readonly origin: string;
  /** What the owner signs in with: the text of his key file. */
  readonly ownerKey: string;
  /** A page of a browser that knows nothing yet. What it logs as an error, and what its policy forbids, is kept in `problems`. */
  newPage(options?: Parameters<Browser['newContext']>[0]): Promise<Page>;
  /** Signed in, at a path below the console. */
  signedIn(
    path?: string,
    key?: string,
    options?: Parameters<Browser['newContext']>[0],
    at?: string,
  ): Promise<Page>;
  /** The same service at another port, by a way that can be cut and mended. */
  detour(): Promise<Detour>;
  /** Makes somebody an operator. Gives the text of his key file. */
  addOperator(name: string, role: string, over?: { readonly platform: boolean }): Promise<string>;
  /**
   * Publishes `low-100`, which is not in force, and fails where a query does not say `tell=allow`. `change`: made to it before it is
   * signed.
   */
  publishCandidate(change?: (bundle: Bundle) => Bundle): Promise<Bundle>;
  /** Of all pages so far. */
  readonly problems: string[];
  close(): Promise<void>;
}

export interface Detour {
  readonly origin: string;
  /** Ends every connection, and takes no other. */
  cut(): void;
  mend(): void;
  close(): void;
}

async function detourTo(address: string): Promise<Detour> {
  const [host = '', port = ''] = address.split(':');
  const sockets = new Set<Socket>();
  let open = true;
  const server = createServer((client) => {
    if (!open) return void client.destroy();
    const service = connect(Number(port), host);
    for (const [one, other] of [
      [client, service],
      [service, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy()).on('close', () => sockets.delete(one));
      one.pipe(other);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    open = false;
    for (const socket of sockets) socket.destroy();
  };
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    cut,
    mend: () => {
      open = true;
    },
    close: () => {
      cut();
      server.close();
    },
  };
}

/** Signs in by the text of a key file, at an address of the console. */
export async function signInOn(page: Page, url: string, key: string): Promise<void> {
  await page.goto(url);
  await page.getByLabel('Or paste the key').fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  // On a phone it waits behind its button.
  await page.locator('nav[aria-label="Agent Ops"]').waitFor({ state: 'attached' });
}

/** Builds the console where its sources are newer, and serves it. Skips, aloud, without a browser. */
export async function consoleScene(context: Mocha.Context, folder: string): Promise<Scene> {
  return sceneIn(await needChromium(context), folder);
}

/** The same in a browser that is there; it is closed with the scene. */
export async function sceneIn(browser: Browser, folder: string): Promise<Scene> {
  execFileSync(process.execPath, [BUILD, '--if-stale'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const service = await serving(folder);
  const origin = `http://localhost:${service.addresses.control.replace(/^.*:/, '')}`;
  const ownerKey = readFileSync(join(folder, '.lemma', 'keys', 'operator-root.key'), 'utf8').trim();
  const problems: string[] = [];
  const contexts: BrowserContext[] = [];

  async function newPage(options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
    const own = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    contexts.push(own);
    const page = await own.newPage();
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => {
      const refused = /the server responded with a status of/.test(message.text());
      if (message.type() === 'error' && !refused) problems.push(message.text());
    });
    return page;
  }

  return {
    service,
    browser,
    origin,
    ownerKey,
    problems,
    newPage,
    async signedIn(path = '', key = ownerKey, options = {}, at = origin) {
      const page = await newPage(options);
      await signInOn(page, `${at}${BASE}${path}`, key);
      return page;
    },
    detour: () => detourTo(service.addresses.control),
    async addOperator(name, role, over = { platform: false }) {
      const { seed, subject, key } = person(name);
      const { status, body } = await service.control('/api/wallet/operators', {
        ...{ name, subject, keys: [key], role, ...over },
      });
      if (status !== 200) throw new Error(JSON.stringify(body));
      return JSON.stringify({ subject, seed: toBase64url(seed) });
    },
    async publishCandidate(change = (bundle) => bundle) {
      const seed = fromBase64url(readFileSync(join(folder, '.lemma', 'keys', 'bundle.key'), 'utf8').trim());
      const candidate = signBundle(change(republished(told, 100, 'low-100')), seed ?? new Uint8Array());
      const bundle_base64 = gzipSync(writeTar(candidate.files)).toString('base64');
      const { status, body } = await service.control('/api/wallet/policies/publish', { bundle_base64 });
      if (status !== 200) throw new Error(JSON.stringify(body));
      return candidate;
    },
    async close() {
      for (const one of contexts) await one.close();
      await browser.close();
      await service.end('SIGTERM');
    },
  };
}
