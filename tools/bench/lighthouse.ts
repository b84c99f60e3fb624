import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { chromiumPath, launchChromium } from '../../test/support/chromium.ts';
import { BASE, sceneIn, signInOn } from '../../test/support/console.ts';
import { filledViews } from '../../test/support/console-views.ts';
import { atLeast, print, type Report } from './measure.ts';

/**
 * What Lighthouse itself says of Agent Ops and the wallet's pages, mobile and desktop. It is no dependency (185 MB): `npm
 * install --ignore-scripts lighthouse` in a folder of its own, and name that.
 *
 *     npm run bench -- lighthouse --from <folder> [--only overview,wallet] [--json]
 */
const { values } = parseArgs({
  options: {
    from: { type: 'string' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
if (values.from === undefined) throw new Error('--from: name the folder where lighthouse is installed');
const CATEGORIES = ['performance', 'accessibility', 'best-practices'];
const VIEWS = ['overview', 'decisions', 'explain', 'runtimes', 'policies'];

interface Result {
  readonly lhr: {
    readonly categories: Readonly<Record<string, { readonly score: number | null }>>;
    readonly audits: Readonly<Record<string, { readonly score: number | null }>>;
  };
}
interface Lighthouse {
  readonly default: (url: string, flags: object, config?: object) => Promise<Result | undefined>;
  readonly desktopConfig: object;
}
// Relative to where the command was given: npm scripts run elsewhere.
const from = resolve(process.env.INIT_CWD ?? '.', values.from, 'node_modules/lighthouse/core/index.js');
const { default: lighthouse, desktopConfig } = (await import(pathToFileURL(from).href)) as Lighthouse;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

const folder = mkdtempSync(join(tmpdir(), 'lemma-lighthouse-'));
const scene = await sceneIn(await launchChromium(), folder);
const port = await freePort();
// Lighthouse opens pages of the browser's own profile: it is there that somebody must be signed in.
const profile = await chromium.launchPersistentContext(join(folder, 'profile'), {
  executablePath: chromiumPath(),
  args: [`--remote-debugging-port=${port}`],
  chromiumSandbox: process.getuid?.() !== 0,
});
const reports: Report[] = [];
try {
  const paths = [
    ...(await filledViews(scene)).filter(([name]) => VIEWS.includes(name)),
    ['wallet', null],
    ['wallet, made', '/create'],
  ] as const;
  const page = await profile.newPage();
  await signInOn(page, `${scene.origin}${BASE}`, scene.ownerKey);
  await page.goto('about:blank');
  for (const [name, path] of paths) {
    if (values.only !== undefined && !values.only.split(',').includes(name)) continue;
    const url = `${scene.origin}${name.startsWith('wallet') ? '/wallet' : BASE}${path ?? ''}`;
    for (const [form, config] of [
      ['mobile', undefined],
      ['desktop', desktopConfig],
    ] as const) {
      const flags = { port, logLevel: 'error', disableStorageReset: true, onlyCategories: CATEGORIES };
      const lhr = (await lighthouse(url, flags, config))?.lhr;
      if (lhr === undefined) throw new Error(`${name}, ${form}: no answer`);
      const less = Object.entries(lhr.audits).filter(([, { score }]) => score !== null && score < 0.9);
      const scoreOf = (category: string) => (lhr.categories[category]?.score ?? Number.NaN) * 100;
      reports.push({
        title: `${name}, ${form}`,
        figures: CATEGORIES.map((category) =>
          atLeast(category, scoreOf(category), '', 95, category === 'performance' ? 'of this machine' : ''),
        ),
        notes: less.length === 0 ? [] : [`below 90: ${less.map(([audit]) => audit).join(', ')}`],
      });
    }
  }
} finally {
  await profile.close();
  await scene.close();
  rmSync(folder, { recursive: true, force: true });
}
if (values.json) console.log(JSON.stringify({ node: process.version, reports }, null, 2));
else print(reports);
