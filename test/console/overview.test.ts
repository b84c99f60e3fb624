import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import type { Agent } from '../support/serving.ts';

describe('the overview, and what leads from it', function () {
  this.timeout(60_000);
  const folder = emptyFolder();
  let scene: Scene;
  let page: Page;
  let agent: Agent;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    agent = await scene.service.onboard('bot-1');
    page = await scene.signedIn();
    for (let n = 0; n < 12; n += 1) await scene.service.grpc({ ...agent.reading(), path: '/v1/nowhere' });
    for (let n = 0; n < 5; n += 1) await scene.service.grpc(agent.reading());
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const overview = async () => {
    await page.goto(`${scene.origin}${BASE}`);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
  };

  it('counts decisions second by second as they are made', async () => {
    await page
      .getByRole('img', { name: /^Decisions per second, two minutes: 5 allowed, 12 denied$/ })
      .waitFor();
  });

  it('shows the last hour, minute by minute', async () => {
    await page.getByRole('button', { name: 'Last hour' }).click();
    await page.getByRole('img', { name: /^Decisions per minute, one hour: 5 allowed, 12 denied$/ }).waitFor();
  });

  it('leads from a reason to its decisions', async () => {
    await page.getByRole('link', { name: /^route_unknown/ }).click();
    const { searchParams } = new URL(page.url());
    assert.equal(searchParams.get('reason'), 'route_unknown');
    assert.equal(
      await page.locator('table.rows tbody tr:not(.space)').first().locator('td').nth(2).innerText(),
      'route_unknown',
    );
  });

  it('names the revision in force of each profile', async () => {
    await overview();
    for (const profile of ['low', 'high', 'critical'])
      await page.getByRole('link', { name: profile, exact: true }).waitFor();
  });

  it('leads to the revisions, and what operators did with them', async () => {
    await page.getByRole('link', { name: 'high', exact: true }).click();
    await page.getByRole('heading', { name: 'Policies' }).waitFor();
    await page.getByRole('tab', { name: 'high', selected: true }).waitFor();
    await page.getByText('in force', { exact: true }).waitFor();
  });

  it('takes the denials of a first minute for no spike: nobody knows yet what is usual', async () => {
    await overview();
    await page.getByText('Learning what is usual: ').waitFor();
    await page.goto(`${scene.origin}${BASE}/alerts`);
    await page.getByRole('heading', { name: 'Nothing needs a look' }).waitFor();
    await page.getByText('no spike is told until then').waitFor();
  });

  it('sets the last day of legacy tokens, and takes it away', async () => {
    await page.goto(`${scene.origin}${BASE}/legacy`);
    await page.getByRole('button', { name: 'Set it' }).click();
    await page.getByLabel('From when on').fill('2031-05-01T12:00');
    await page.getByRole('dialog').getByRole('button', { name: 'Set it' }).click();
    await page.locator('time[datetime^="2031-05-01"]').first().waitFor();
    const { body } = await scene.service.control('/api/wallet/settings/env');
    assert.match(JSON.stringify(body.settings), /"legacy_sunset":"2031-0[45]-/);
    await page.getByRole('button', { name: 'Change it' }).click();
    await page.getByRole('button', { name: 'Take it away' }).click();
    await page.getByText('not set').waitFor();
  });

  it('turns the steps of a connection green as they are seen', async () => {
    await page.goto(`${scene.origin}${BASE}/connect?runtime=fresh-1`);
    const seen = page.locator('ol.walk li.done');
    await page.locator('ol.walk').waitFor();
    assert.equal(await seen.count(), 0);
    const fresh = await scene.service.onboard('fresh-1');
    await page.locator('ol.walk li.done').nth(1).waitFor();
    assert.equal(await seen.count(), 2);
    await scene.service.grpc(fresh.reading());
    await page.locator('ol.walk li.done').nth(3).waitFor();
  });

  it('quotes what a shell would read as something else', async () => {
    await page.getByLabel('Runtime', { exact: true }).fill("x'; rm -rf ~");
    await page.getByText("--runtime-id 'x'\\''; rm -rf ~'").waitFor();
  });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});
