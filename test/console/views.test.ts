import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import { filledViews, type Views } from '../support/console-views.ts';
import { eventually } from '../support/waiting.ts';

/** Not UTC, and no whole hours from it. */
const ZONE = 'Asia/Kathmandu';
const DOES_NOT_ANSWER = 'The control plane does not answer';
const GO = (path: string) =>
  `history.pushState(null, '', ${JSON.stringify(path)}); dispatchEvent(new PopStateEvent('popstate'))`;
const TIMES = `[...document.querySelectorAll('main time')].map(({ dateTime, title, textContent }) => ({ dateTime, title, textContent }))`;
/** What moves: an animation or a transition that takes time. */
const MOVING = `document.getAnimations().filter((one) => Number(one.effect?.getComputedTiming().duration) > 0).length`;

interface ShownTime {
  readonly dateTime: string;
  readonly title: string;
  readonly textContent: string;
}

describe('every view of the console', function () {
  this.timeout(120_000);
  const folder = emptyFolder();
  let scene: Scene;
  let views: Views;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    views = await filledViews(scene);
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const loaded = async (page: Page, path: string) => {
    await page.goto(`${scene.origin}${BASE}${path}`);
    await page.locator('main h1').waitFor();
    await eventually(async () => (await page.locator('main .skeleton').count()) === 0);
  };

  it('says that nothing answers, where it is opened so, and goes on when something does', async () => {
    // Alerts are known everywhere; Connect says what to do, and needs no answer for that.
    const asking = views.filter(([name]) => !['nothing', 'alerts', 'legacy'].includes(name));
    const page = await scene.signedIn('/nothing');
    for (const [name, path] of asking) {
      await page.route('**/api/**', (route) => route.abort());
      await page.evaluate(GO(`${BASE}${path}`));
      const said = page.getByRole('heading', { name: DOES_NOT_ANSWER }).first();
      await said.waitFor().catch(() => assert.fail(`${name} does not say that nothing answers`));
      await page.unroute('**/api/**');
      const again = page.getByRole('button', { name: 'Try again' });
      while ((await said.count()) > 0)
        await again
          .first()
          .click({ timeout: 500 })
          .catch(() => undefined);
      await eventually(async () => (await page.locator('main .skeleton').count()) === 0);
      await page.evaluate(GO(`${BASE}/nothing`));
    }
  });

  it('keeps what it knew when nothing answers any longer, and says that', async () => {
    const page = await scene.signedIn();
    for (const [name, path] of views.filter(([name]) => ['overview', 'runtimes', 'alerts'].includes(name))) {
      await loaded(page, path);
      await page.route('**/api/**', (route) => route.abort());
      await page.getByText('This is what was known before.').first().waitFor();
      assert.equal(await page.getByRole('heading', { name: DOES_NOT_ANSWER }).count(), 0, name);
      await page.unroute('**/api/**');
    }
  });

  it("shows times as the reader's own clock has them, and in UTC to who points at them", async () => {
    const page = await scene.signedIn('', undefined, { timezoneId: ZONE, locale: 'en-GB' });
    let shown = 0;
    for (const [name, path] of views) {
      await loaded(page, path);
      for (const { dateTime, title, textContent } of (await page.evaluate(TIMES)) as ShownTime[]) {
        shown += 1;
        assert.match(dateTime, /Z$/, name);
        assert.ok(title.endsWith(dateTime), `${name}: ${title}`);
        if (!/\d:\d\d:\d\d/.test(textContent)) continue;
        const own = new Intl.DateTimeFormat('en-GB', {
          ...{ timeZone: ZONE, hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false },
        }).format(new Date(dateTime));
        assert.ok(textContent.includes(own), `${name}: ${textContent} is not ${own}`);
      }
      // None is shown as text alone.
      const bare = await page.evaluate(
        "[...document.querySelectorAll('main :not(time):not(pre):not(code)')].flatMap(({ childNodes }) => [...childNodes]).filter((n) => n.nodeType === 3 && /\\d{4}-\\d\\d-\\d\\dT\\d\\d:/.test(n.data)).map((n) => n.data)",
      );
      assert.deepEqual(bare, [], name);
    }
    assert.ok(shown > 20, String(shown));
  });

  it('moves nothing for who asked for rest, also while it loads', async () => {
    const page = await scene.signedIn('', undefined, { reducedMotion: 'reduce' });
    for (const [name, path] of views) {
      await loaded(page, path);
      assert.equal(await page.evaluate(MOVING), 0, name);
    }
    await page.route('**/api/wallet/runtimes?**', () => undefined);
    await page.evaluate(GO(`${BASE}/runtimes`));
    await page.locator('main .skeleton').first().waitFor();
    assert.equal(await page.evaluate(MOVING), 0);
  });

  it('moves where nobody asked for rest: that it can is what makes the rest one', async () => {
    const page = await scene.signedIn('/runtimes', undefined, { reducedMotion: 'no-preference' });
    await page.route('**/api/wallet/runtimes?**', () => undefined);
    await page.evaluate(GO(`${BASE}/audit`));
    await page.evaluate(GO(`${BASE}/runtimes`));
    await page.locator('main .skeleton').first().waitFor();
    assert.ok(Number(await page.evaluate(MOVING)) > 0);
  });
});
