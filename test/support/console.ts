import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { toBase64url } from '../../src/crypto/base64url.ts';
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
  signedIn(path?: string, key?: string, options?: Parameters<Browser['newContext']>[0]): Promise<Page>;
  /** Makes somebody an operator. Gives the text of his key file. */
  addOperator(name: string, role: string): Promise<string>;
  /** Of all pages so far. */
  readonly problems: string[];
  close(): Promise<void>;
}

/** Builds the console where its sources are newer, and serves it. Skips, aloud, without a browser. */
export async function consoleScene(context: Mocha.Context, folder: string): Promise<Scene> {
  const browser = await needChromium(context);
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
    async signedIn(path = '', key = ownerKey, options = {}) {
      const page = await newPage(options);
      await page.goto(`${origin}${BASE}${path}`);
      await page.getByLabel('Or paste the key').fill(key);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('navigation', { name: 'Agent Ops' }).waitFor({ state: 'attached' });
      return page;
    },
    async addOperator(name, role) {
      const { seed, subject, key } = person(name);
      const { status, body } = await service.control('/api/wallet/operators', {
        ...{ name, subject, keys: [key], role },
      });
      if (status !== 200) throw new Error(JSON.stringify(body));
      return JSON.stringify({ subject, seed: toBase64url(seed) });
    },
    async close() {
      for (const one of contexts) await one.close();
      await browser.close();
      await service.end('SIGTERM');
    },
  };
}
