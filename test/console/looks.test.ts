import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import { filledViews, type Views } from '../support/console-views.ts';

/** Pictures of this run, for a reviewer to look at; the README's are of pictures.test.ts. */
const PICTURES = fileURLToPath(new URL('../../coverage/console', import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

describe('how the console looks', function () {
  this.timeout(120_000);
  const folder = emptyFolder();
  let scene: Scene;
  let paths: Views;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    paths = await filledViews(scene);
    mkdirSync(PICTURES, { recursive: true });
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const open = async (page: Page, path: string) => {
    await page.goto(`${scene.origin}${BASE}${path}`);
    await page.locator('main h1').waitFor();
    await page.locator('main .skeleton').first().waitFor({ state: 'detached' });
  };
  const violations = async (page: Page) => {
    await page.evaluate(AXE);
    const found = (await page.evaluate(
      'axe.run(document).then(({ violations }) => violations)',
    )) as Violation[];
    // The first of each kind: a table has many.
    return found.flatMap(({ id, nodes: [first] }) =>
      first === undefined ? [] : [`${id}: ${first.html} ${first.failureSummary}`],
    );
  };
  const picture = (page: Page, name: string) => page.screenshot({ path: join(PICTURES, `${name}.png`) });

  for (const colorScheme of ['dark', 'light'] as const) {
    it(`has nothing that axe finds, in ${colorScheme} colours`, async () => {
      const page = await scene.signedIn('', undefined, { colorScheme });
      for (const [name, path] of paths) {
        await open(page, path);
        assert.deepEqual(await violations(page), [], name);
        await picture(page, `${name}-${colorScheme}`);
      }
    });
  }

  it('has nothing that axe finds where people sign in', async () => {
    const page = await scene.newPage();
    await page.goto(`${scene.origin}${BASE}`);
    await page.getByRole('heading', { name: 'Sign in to this control plane' }).waitFor();
    assert.deepEqual(await violations(page), []);
    await picture(page, 'sign-in-dark');
  });

  for (const [width, height] of [
    [360, 740],
    [820, 1180],
    [3840, 2160],
  ] as const) {
    it(`fits ${width} pixels`, async () => {
      const page = await scene.signedIn('', undefined, {
        viewport: { width, height },
        hasTouch: width < 900,
      });
      for (const [name, path] of paths) {
        await open(page, path);
        const over = Number(await page.evaluate('document.documentElement.scrollWidth - innerWidth'));
        assert.ok(over <= 0, `${name} is ${over} pixels wider than the screen`);
        await picture(page, `${name}-${width}`);
      }
    });
  }

  it('is led by its menu on a phone', async () => {
    const page = await scene.signedIn('', undefined, {
      viewport: { width: 360, height: 740 },
      hasTouch: true,
    });
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.getByRole('link', { name: 'Runtimes', exact: true }).click();
    await page.getByRole('heading', { name: 'Runtimes', level: 1 }).waitFor();
    await page.getByRole('navigation', { name: 'Agent Ops' }).waitFor({ state: 'hidden' });
  });

  it('moves nothing for who asked for rest', async () => {
    const page = await scene.signedIn('', undefined, { reducedMotion: 'reduce' });
    const ease = await page.evaluate(
      "getComputedStyle(document.documentElement).getPropertyValue('--ease').trim()",
    );
    assert.equal(ease, '0s');
  });

  it('changes its colours when told, and remembers', async () => {
    const page = await scene.signedIn('', undefined, { colorScheme: 'dark' });
    await page.getByRole('button', { name: 'Use light colours' }).click();
    await page.reload();
    await page.getByRole('button', { name: 'Use dark colours' }).waitFor();
  });

  it('says so when the control plane does not answer, and keeps what it knew', async () => {
    const page = await scene.signedIn('/runtimes');
    await page.getByRole('link', { name: 'reader-1' }).waitFor();
    await page.route('**/api/**', (route) => route.abort());
    await page.getByText('This is what was known before.').waitFor();
    await page.getByRole('link', { name: 'reader-1' }).waitFor();
    await page.getByRole('link', { name: 'Audit trail' }).click();
    await page.getByRole('heading', { name: 'The control plane does not answer' }).waitFor();
    await page.unroute('**/api/**');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('table').waitFor();
  });

  it('stops a runtime, as the picture shows', async () => {
    const page = await scene.signedIn('/runtimes/reader-1', undefined, { colorScheme: 'dark' });
    await page.getByRole('button', { name: 'Kill', exact: true }).click();
    await page.getByLabel('Reason').fill('it scraped the payroll');
    assert.deepEqual(await violations(page), []);
    await page.getByRole('button', { name: 'Kill it now' }).click();
    await page.getByText('Nothing of it passes any node.').waitFor();
    assert.deepEqual(await violations(page), []);
    await picture(page, 'kill-dark');
  });
});
