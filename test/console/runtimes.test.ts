import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';

const MARKUP = '<img src=x onerror=alert(1)>';

describe('a runtime in the console', function () {
  this.timeout(60_000);
  const folder = emptyFolder();
  let scene: Scene;
  let page: Page;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    page = await scene.signedIn('/runtimes');
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  /** A runtime of its own for each test. */
  const shown = async (id: string) => {
    const agent = await scene.service.onboard(id);
    await page.goto(`${scene.origin}${BASE}/runtimes/${id}`);
    await page.getByRole('heading', { name: id }).waitFor();
    return agent;
  };
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
  const dialog = () => page.getByRole('dialog');

  it('is found in the list, by its status', async () => {
    await scene.service.onboard('listed-1');
    await page.goto(`${scene.origin}${BASE}/runtimes`);
    await page.getByLabel('Status').selectOption('active');
    await page.getByRole('link', { name: 'listed-1' }).click();
    await page.waitForURL('**/runtimes/listed-1');
  });

  it('is killed by one confirmation, and nothing of it passes afterwards', async () => {
    const agent = await shown('killed-1');
    assert.equal((await scene.service.grpc(agent.reading())).verdict, 'allow');
    await press('Kill');
    await dialog().getByLabel('Reason').fill(MARKUP);
    await press('Kill it now');
    await dialog().getByText('Nothing of it passes any node.').waitFor();
    assert.equal((await scene.service.grpc(agent.reading())).verdict, 'runtime_killed');
    await press('Done');
    await page.locator('.badge.deny', { hasText: 'killed' }).waitFor();
    await page.getByRole('cell', { name: MARKUP }).waitFor();
    assert.equal(await page.locator('main img').count(), 0);
    assert.equal(await page.getByRole('button', { name: 'Kill', exact: true }).count(), 0);
  });

  it('says how much of a budget is left, and that it ends with its proof', async () => {
    const agent = await scene.service.onboard('limited-1', { operations: 3 });
    for (let n = 0; n < 2; n += 1) await scene.service.grpc(agent.reading());
    await page.goto(`${scene.origin}${BASE}/runtimes/limited-1`);
    const row = page.getByRole('region', { name: 'Budgets' }).locator('tbody tr');
    const cells = async () => (await row.locator('td').allInnerTexts()).map((text) => text.trim());
    await row.waitFor();
    const [, limit, used, left, resets = ''] = await cells();
    assert.deepEqual([limit, used, left], ['3', '2', '1']);
    assert.match(resets, /^never; ends in /);
    await scene.service.grpc(agent.reading());
    assert.equal((await scene.service.grpc(agent.reading())).verdict, 'budget_exhausted');
    // The page looks again by itself.
    await row.getByRole('cell', { name: 'none', exact: true }).waitFor();
  });

  it('is contained, and goes on', async () => {
    const agent = await shown('contained-1');
    await press('Contain');
    await press('Contain it');
    await page.getByText('Contained: everything is denied').waitFor();
    assert.equal((await scene.service.grpc(agent.reading())).verdict, 'runtime_inactive');
    await press('Resume');
    await press('Resume it');
    await page.locator('.badge.allow', { hasText: 'active' }).waitFor();
    assert.equal((await scene.service.grpc(agent.reading())).verdict, 'allow');
  });

  it('is approved again at the epoch that was shown', async () => {
    const agent = await shown('tainted-1');
    await press('Taint');
    await dialog().getByLabel('Reason').fill('read a page of a stranger');
    await press('Taint it');
    await page.getByText('Tainted: its proofs are of an epoch before 1.').waitFor();
    assert.equal((await scene.service.grpc(agent.writing())).verdict, 'taint_stale');
    await press('Approve again');
    await dialog().getByText('read a page of a stranger').waitFor();
    await press('Approve epoch 1');
    await dialog().getByText('at epoch 1').waitFor();
    await press('Done');
    await page.locator('.badge.allow', { hasText: 'current' }).waitFor();
  });

  it('is not approved at an epoch that has moved on', async () => {
    await shown('tainted-2');
    const taint = () =>
      scene.service.control('/api/wallet/runtimes/tainted-2/taint', { reason: 'another page' });
    await taint();
    await page.reload();
    await press('Approve again');
    await taint();
    await press('Approve epoch 1');
    await dialog().getByRole('alert').getByText('moved').waitFor();
    await press('Cancel');
  });

  it('loses a proof that is revoked', async () => {
    const agent = await shown('revoked-1');
    await press('Revoke');
    await press('Revoke it');
    await page.locator('.badge.deny', { hasText: 'revoked' }).waitFor();
    assert.equal((await scene.service.grpc(agent.reading())).verdict, 'revoked');
  });

  it('shows who delegated what', async () => {
    await shown('tree-1');
    const tree = page.locator('ul.tree strong');
    await tree.first().waitFor();
    assert.deepEqual(await tree.allInnerTexts(), ['Person', 'root', 'delegation', 'runtime']);
  });

  it('leaves a dialog by Escape, and nothing is done', async () => {
    const agent = await shown('spared-1');
    await press('Kill');
    await dialog().waitFor();
    await page.keyboard.press('Escape');
    await dialog().waitFor({ state: 'detached' });
    assert.equal((await scene.service.grpc(agent.reading())).verdict, 'allow');
  });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});
