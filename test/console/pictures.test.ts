import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { consoleScene, type Scene } from '../support/console.ts';
import type { Agent } from '../support/serving.ts';
import { smallPng } from '../support/small-png.ts';

/** `npm run pictures` puts them where the README has them. */
const PICTURES = new URL('../../coverage/console/readme/', import.meta.url);
const BYTES_AT_MOST = 150_000;
/** Decisions of each second that the chart shows: allowed, denied. */
const SECONDS = [
  [4, 0],
  [7, 0],
  [6, 1],
  [9, 0],
  [12, 1],
  [10, 0],
  [14, 2],
  [11, 5],
  [9, 9],
  [8, 11],
  [10, 4],
  [13, 1],
  [11, 0],
  [12, 1],
] as const;

describe("the README's pictures", function () {
  this.timeout(120_000);
  const folder = emptyFolder();
  let scene: Scene;
  let reader: Agent;
  let writer: Agent;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    const { service } = scene;
    reader = await service.onboard('mail-triage', { operations: 5000 });
    writer = await service.onboard('report-writer');
    for (const name of ['invoice-bot', 'code-review', 'web-scraper']) {
      const agent = await service.onboard(name);
      await service.grpc(agent.reading());
    }
    mkdirSync(PICTURES, { recursive: true });
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const looked = { colorScheme: 'dark', viewport: { width: 1280, height: 800 } } as const;
  async function picture(page: Page, name: string): Promise<void> {
    const small = smallPng(await page.screenshot({ animations: 'disabled' }));
    writeFileSync(fileURLToPath(new URL(`${name}.png`, PICTURES)), small);
    assert.ok(small.length <= BYTES_AT_MOST, `${name}.png has ${small.length} bytes`);
  }
  const unsigned = () => scene.service.grpc({ ...writer.reading(), method: 'PUT' });

  it('show the overview, with decisions coming', async () => {
    const page = await scene.signedIn('', undefined, looked);
    const chart = page.getByRole('img', { name: /^Decisions per second/ });
    await chart.waitFor();
    for (const [allowed, denied] of SECONDS) {
      // The next point of the chart: its time is what the picture is of.
      const next = page.waitForFunction(
        (from) => Math.floor(Date.now() / 1000) !== from,
        Math.floor(Date.now() / 1000),
      );
      for (let n = 0; n < allowed; n += 1)
        await scene.service.grpc(n % 3 === 0 ? writer.writing() : reader.reading());
      for (let n = 0; n < denied; n += 1)
        await (n % 4 === 0 ? unsigned() : scene.service.grpc({ ...reader.reading(), path: '/v1/payroll' }));
      await next;
    }
    await page.getByText('Learning what is usual: ').waitFor();
    await picture(page, 'overview');
  });

  it('show why a decision was made', async () => {
    const { decisionId } = await unsigned();
    const page = await scene.signedIn(`/decisions/${decisionId}`, undefined, {
      ...looked,
      viewport: { width: 1280, height: 1500 },
    });
    await page.getByRole('list', { name: 'Rules that decided' }).waitFor();
    await picture(page, 'explain');
  });

  it('show a runtime stopped', async () => {
    const page = await scene.signedIn('/runtimes/web-scraper', undefined, looked);
    await page.getByRole('button', { name: 'Kill', exact: true }).click();
    await page.getByLabel('Reason').fill('it scraped the payroll');
    await page.getByRole('button', { name: 'Kill it now' }).click();
    await page.getByText('Nothing of it passes any node.').waitFor();
    await picture(page, 'kill');
  });
});
