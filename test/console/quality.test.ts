import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { assertAccessible } from '../support/accessible.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import { filledViews } from '../support/console-views.ts';
import { eventually } from '../support/waiting.ts';

/**
 * What Lighthouse audits, as far as it is the same in each run; `npm run bench -- lighthouse` asks Lighthouse itself, whose
 * performance depends on the machine.
 */
const ARTEFACTS = fileURLToPath(new URL('../../coverage/console', import.meta.url));
const FORMS = {
  mobile: { viewport: { width: 412, height: 823 }, deviceScaleFactor: 1.75, isMobile: true, hasTouch: true },
  desktop: { viewport: { width: 1350, height: 940 } },
} as const;
const KIB = 1024;
const BUDGET = {
  /** Of the page, its scripts and its styles, over the wire. */
  files: 100 * KIB,
  /** Of what it asks the API for; some 65 decisions are there. */
  answers: 256 * KIB,
  /** Lighthouse calls up to 0.1 good. */
  layoutShift: 0.1,
  requests: 30,
  /** Style that holds the first picture back. */
  blocking: 30 * KIB,
  /** Of the scripts and styles that are loaded, at rest, unzipped: not run by this view. */
  unusedScript: 200 * KIB,
  /** Explain shows the whole policy, line by line. */
  nodes: 2000,
} as const;

const METRICS = `(() => {
  const resources = performance.getEntriesByType('resource');
  const [page] = performance.getEntriesByType('navigation');
  const bytes = (all) => all.reduce((sum, { transferSize }) => sum + transferSize, 0);
  const own = ({ initiatorType }) => initiatorType !== 'fetch';
  return {
    shift: globalThis.lemmaShift ?? 0,
    largest: globalThis.lemmaLargest ?? 0,
    blocking: resources.filter((one) => one.renderBlockingStatus === 'blocking').map(({ name, transferSize }) => [name, transferSize]),
    strangers: resources.filter(({ name }) => new URL(name).origin !== location.origin).map(({ name }) => name),
    plain: resources.filter(own).filter(({ encodedBodySize, decodedBodySize }) => decodedBodySize > 2048 && encodedBodySize >= decodedBodySize).map(({ name }) => name),
    files: bytes([page, ...resources.filter(own)]),
    answers: bytes(resources.filter((one) => !own(one))),
    requests: resources.length + 1,
    nodes: document.querySelectorAll('*').length,
    doctype: document.compatMode,
    charset: document.characterSet,
    title: document.title,
    description: document.querySelector('meta[name=description]')?.content ?? '',
    viewport: document.querySelector('meta[name=viewport]')?.content ?? '',
    distorted: [...document.images].filter((one) => one.naturalWidth > 0 && Math.abs(one.width / one.height - one.naturalWidth / one.naturalHeight) > 0.05).map(({ src }) => src),
  };
})()`;
const OBSERVE = `
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) globalThis.lemmaShift = (globalThis.lemmaShift ?? 0) + one.value;
  }).observe({ type: 'layout-shift', buffered: true });
  new PerformanceObserver((list) => {
    globalThis.lemmaLargest = list.getEntries().at(-1).startTime;
  }).observe({ type: 'largest-contentful-paint', buffered: true });`;

interface Metrics {
  readonly shift: number;
  /** Milliseconds, of this machine: for the artefact. */
  readonly largest: number;
  readonly blocking: readonly (readonly [name: string, bytes: number])[];
  readonly strangers: readonly string[];
  readonly plain: readonly string[];
  readonly files: number;
  readonly answers: number;
  readonly requests: number;
  readonly nodes: number;
  readonly doctype: string;
  readonly charset: string;
  readonly title: string;
  readonly description: string;
  readonly viewport: string;
  readonly distorted: readonly string[];
}

describe('the quality of its pages, as Lighthouse would see it', function () {
  this.timeout(120_000);
  const folder = emptyFolder();
  const measured: Record<string, object> = {};
  let scene: Scene;
  let urls: Readonly<Record<string, string>>;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    const views = new Map(await filledViews(scene));
    const view = (name: string) => `${BASE}${views.get(name)}`;
    urls = {
      overview: view('overview'),
      decisions: view('decisions'),
      explain: view('explain'),
      runtimes: view('runtimes'),
      policies: view('policies'),
      wallet: '/wallet',
      'wallet, made': '/wallet/create',
      'wallet, restored': '/wallet/restore',
    };
  });
  after(async () => {
    mkdirSync(ARTEFACTS, { recursive: true });
    writeFileSync(join(ARTEFACTS, 'quality.json'), `${JSON.stringify(measured, null, 2)}\n`);
    await scene?.close();
    folder.remove();
  });

  for (const form of ['mobile', 'desktop'] as const)
    for (const name of [
      ...['overview', 'decisions', 'explain', 'runtimes', 'policies'],
      ...['wallet', 'wallet, made', 'wallet, restored'],
    ])
      it(`${name}, ${form}: nothing to mend, and within its budget`, async () => {
        const { page, issues } = await audited(`${scene.origin}${urls[name]}`, name, FORMS[form]);
        await assertAccessible(page);
        const seen = (await page.evaluate(METRICS)) as Metrics;
        const unused = await page.coverage
          .stopJSCoverage()
          .then((entries) => entries.reduce((sum, entry) => sum + unusedOf(entry), 0));
        measured[`${name}, ${form}`] = { ...seen, unused };

        // Best practices.
        assert.deepEqual(issues, []);
        assert.deepEqual([seen.doctype, seen.charset], ['CSS1Compat', 'UTF-8']);
        assert.ok(seen.title !== '' && seen.description !== '');
        assert.match(seen.viewport, /width=device-width/);
        assert.doesNotMatch(seen.viewport, /user-scalable|maximum-scale/);
        assert.deepEqual([seen.strangers, seen.distorted], [[], []]);

        // Of performance, what is the same in each run.
        assert.deepEqual(seen.plain, [], 'not compressed');
        within('files', seen.files);
        within('answers', seen.answers);
        within('requests', seen.requests);
        within('layoutShift', seen.shift);
        within('nodes', seen.nodes);
        within('unusedScript', unused);
        const blocking = seen.blocking.reduce((sum, [, bytes]) => sum + bytes, 0);
        within('blocking', blocking);
        assert.ok(seen.blocking.every(([file]) => file.endsWith('.css')));
        await page.context().close();
      });

  function within(name: keyof typeof BUDGET, value: number): void {
    assert.ok(value <= BUDGET[name], `${name}: ${value}, of ${BUDGET[name]}`);
  }

  /** Loaded as for the first time, by somebody who is signed in. */
  async function audited(url: string, name: string, options: (typeof FORMS)[keyof typeof FORMS]) {
    const wallet = name.startsWith('wallet');
    const page = wallet ? await scene.newPage(options) : await scene.signedIn('/nothing', undefined, options);
    const browser = await page.context().newCDPSession(page);
    const issues: string[] = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) issues.push(message.text());
    });
    browser.on('Audits.issueAdded', ({ issue }) => issues.push(JSON.stringify(issue)));
    await browser.send('Audits.enable');
    await browser.send('Network.enable');
    await browser.send('Network.setCacheDisabled', { cacheDisabled: true });
    await page.addInitScript(OBSERVE);
    await page.coverage.startJSCoverage();
    await page.goto(url);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await eventually(async () => (await page.locator('.skeleton').count()) === 0);
    // Two frames: what came last is laid out.
    await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
    return { page, issues };
  }
});

type JsCoverage = Awaited<ReturnType<Page['coverage']['stopJSCoverage']>>[number];

/** Characters of a script that no function ran of. */
function unusedOf({ source = '', functions }: JsCoverage): number {
  const used = new Uint8Array(source.length).fill(1);
  // Ranges are nested: the inner one says more.
  for (const { ranges } of functions)
    for (const { startOffset, endOffset, count } of ranges)
      used.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return used.reduce((sum, one) => sum + (1 - one), 0);
}
