import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';

describe('the console of a service where nothing has happened', function () {
  this.timeout(90_000);
  const folder = emptyFolder();
  let scene: Scene;
  let page: Page;
  let paths: string[];
  before(async function () {
    scene = await consoleScene(this, folder.path);
    page = await scene.signedIn();
    const links = page.getByRole('navigation', { name: 'Agent Ops' }).getByRole('link');
    paths = await links.evaluateAll((all) => all.map((one) => one.getAttribute('href') ?? ''));
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const open = async (path: string) => {
    await page.goto(`${scene.origin}${path}`);
    await page.locator('main h1').waitFor();
    await page.locator('main .skeleton').first().waitFor({ state: 'detached' });
  };
  /** What is empty on the page that is open: its title, and what it says beside. */
  const empty = () =>
    page.locator('main .state').evaluateAll((all) =>
      all.map((one) => ({
        title: one.querySelector('h2')?.textContent ?? '',
        says: [...one.querySelectorAll('p')].map((text) => text.textContent?.trim() ?? '').join(' '),
        leads: one.querySelector('a[href]') !== null,
      })),
    );

  it('says beside each thing that is empty what it is for, or what comes next', async () => {
    const found: string[] = [];
    const silent: string[] = [];
    for (const path of paths) {
      await open(path);
      for (const { title, says, leads } of await empty()) {
        found.push(title);
        if (says.length < 20 && !leads) silent.push(`${path}: “${title}” ${says}`);
      }
    }
    assert.deepEqual(silent, []);
    assert.ok(found.length >= 5, found.join());
  });

  for (const path of ['', '/runtimes', '/decisions', '/keys'])
    it(`leads from ${path === '' ? 'the overview' : path} to connecting a runtime`, async () => {
      await open(`${BASE}${path}`);
      await page.locator('main a[href$="/connect"]').first().click();
      await page.getByRole('heading', { name: 'Connect a runtime' }).waitFor();
    });

  it('has the command for a runtime that was registered and has no proof', async () => {
    const about = { runtime_id: 'bare-1', agent_id: 'bot', workspace_id: 'lab' };
    await scene.service.control('/api/wallet/runtimes/bootstrap', about);
    await open(`${BASE}/runtimes/bare-1`);
    await page.getByRole('link', { name: 'the command for it' }).click();
    await page.getByText('--runtime-id bare-1 --agent-id bot --workspace-id lab').waitFor();
  });

  it('tells no spike, no lag and no stale node', async () => {
    await open(BASE);
    await page.getByText('Learning what is usual: 0 of 10 minutes').waitFor();
    await page.getByText('No stop was sent to nodes').waitFor();
    await page.getByText('Decisions are made in this process').waitFor();
  });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});
