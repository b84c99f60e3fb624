import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';

const MARKUP = '<img src=x onerror=alert(1)>';
/** Each page, with one that shows a single thing. */
const PAGES = [
  '',
  '/decisions',
  '/alerts',
  '/runtimes',
  '/runtimes/bot-1',
  '/runtimes/tainted-1',
  '/policies',
  '/legacy',
  '/connect',
  '/operators',
  '/keys',
  '/sessions',
  '/audit',
];
/** What changes something, by its words. */
const VERBS =
  /^(?:kill|contain|resume|taint|revoke|approve again|activate|roll back|shadow|end its shadow|evaluate|new api key|add an operator|change|remove|end|set it|change it|let it be bound anew)$/i;

describe('who sees what in the console', function () {
  this.timeout(90_000);
  const folder = emptyFolder();
  let scene: Scene;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    const { service } = scene;
    const agent = await service.onboard('bot-1');
    await service.grpc(agent.reading());
    await service.onboard('tainted-1');
    await service.control('/api/wallet/runtimes/tainted-1/taint', { reason: MARKUP });
    await service.control('/api/wallet/api-keys', { name: MARKUP, permissions: ['decisions.read'] });
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  /** Opens it, and waits until it shows what it asked for. */
  const open = async (page: Page, path: string) => {
    await page.goto(`${scene.origin}${BASE}${path}`);
    await page.locator('main h1').waitFor();
    await page.locator('main .skeleton').first().waitFor({ state: 'detached' });
  };
  const verbsOn = async (page: Page) =>
    (await page.locator('main').getByRole('button').allInnerTexts()).filter((text) =>
      VERBS.test(text.trim()),
    );

  for (const role of ['auditor', 'policy_author', 'operator', 'owner']) {
    it(`asks nothing for the role ${role} that would be refused`, async () => {
      const page = await scene.signedIn('', await scene.addOperator(`a ${role}`, role));
      const refused: string[] = [];
      page.on('response', (response) => {
        if (response.status() === 403) refused.push(response.url());
      });
      const links = page.getByRole('navigation', { name: 'Agent Ops' }).getByRole('link');
      const paths = await links.evaluateAll((all) => all.map((one) => one.getAttribute('href') ?? ''));
      assert.ok(paths.length > 4, paths.join());
      for (const path of [...paths.map((one) => one.slice(BASE.length)), '/runtimes/bot-1'])
        await open(page, path);
      assert.deepEqual(refused, []);
    });
  }

  it('shows an auditor no button that changes anything', async () => {
    const page = await scene.signedIn('', await scene.addOperator('the auditor', 'auditor'));
    const found: string[] = [];
    for (const path of PAGES) {
      await open(page, path);
      // The session of the auditor himself is the only one that he may end, and this is not offered either.
      found.push(...(await verbsOn(page)).map((text) => `${path}: ${text}`));
    }
    assert.deepEqual(found, []);
  });

  it('shows them to the owner', async () => {
    const page = await scene.signedIn('/runtimes/bot-1');
    await page.getByRole('button', { name: 'Kill' }).waitFor();
    assert.deepEqual(await verbsOn(page), ['Taint', 'Contain', 'Kill', 'Revoke']);
  });

  it('adds an operator, changes what he is, and removes him', async () => {
    const page = await scene.signedIn('/operators');
    const { person } = await import('../server/people.ts');
    const { subject, key } = person('carol');
    const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
    const row = page.getByRole('row').filter({ hasText: MARKUP });
    await press('Add an operator');
    await page.getByLabel('Name').fill(MARKUP);
    await page.getByLabel('PPID at this site').fill(subject);
    await page.getByLabel('Public key for this site').fill(key);
    await press('Add');
    await row.waitFor();
    await row.getByRole('button', { name: 'Change' }).click();
    await page.getByLabel('Role', { exact: true }).selectOption('auditor');
    await press('Save');
    await row.getByText('auditor').waitFor();
    await row.getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await row.waitFor({ state: 'detached' });
    assert.equal(await page.locator('main img').count(), 0);
  });

  it('shows a new API key once, and the key works', async () => {
    const page = await scene.signedIn('/keys');
    await page.getByRole('button', { name: 'New API key' }).click();
    await page.getByLabel('Name').fill('ci');
    await page.getByRole('button', { name: 'Make it' }).click();
    const token = await page.getByRole('region', { name: 'key', exact: true }).innerText();
    const answer = await fetch(`${scene.service.controlBase}/api/wallet/runtimes/decisions`, {
      headers: { authorization: `Bearer ${token.trim()}` },
    });
    assert.equal(answer.status, 200);
    await page.getByRole('button', { name: 'I have copied it' }).click();
    await page.getByRole('row').filter({ hasText: 'ci' }).first().waitFor();
    assert.equal(await page.getByText(token.trim()).count(), 0);
  });

  it('ends the session of another browser', async () => {
    const other = await scene.signedIn('/sessions');
    const page = await scene.signedIn('/sessions');
    const others = page.getByRole('row').filter({ hasNotText: 'this one' }).filter({ hasText: 'owner' });
    await others.first().waitFor();
    for (let left = await others.count(); left > 0; left -= 1) {
      await others.first().getByRole('button', { name: 'End' }).click();
      const listed = page.waitForResponse((response) => /\/sessions$/.test(response.url()));
      await page.getByRole('button', { name: 'End it' }).click();
      await listed;
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
    await other.reload();
    await other.getByRole('heading', { name: 'Sign in to this control plane' }).waitFor();
  });

  it('tells what operators did', async () => {
    const page = await scene.signedIn('/audit');
    await page.getByRole('row').filter({ hasText: 'addOperator' }).first().waitFor();
  });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});
