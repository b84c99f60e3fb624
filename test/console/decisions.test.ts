import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import type { Agent } from '../support/serving.ts';

const MANY = 600;
const AT_ONCE = 10;

describe('the stream of decisions', function () {
  this.timeout(90_000);
  const folder = emptyFolder();
  let scene: Scene;
  let page: Page;
  let reader: Agent;
  let writer: Agent;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    reader = await scene.service.onboard('reader-1');
    writer = await scene.service.onboard('writer-1');
    await scene.service.grpc(writer.writing());
    page = await scene.signedIn('/decisions');
    await live();
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const live = () => page.getByText('Live', { exact: true }).waitFor();
  const rows = () => page.locator('table.rows tbody tr:not(.space)');
  const denied = () => scene.service.grpc({ ...reader.reading(), path: '/v1/nowhere' });
  const query = () => new URL(page.url()).searchParams;

  it('begins with what was decided before', async () => {
    await rows().filter({ hasText: 'writer-1' }).first().waitFor();
  });

  it('shows a decision as soon as it is made', async () => {
    const { decisionId } = await scene.service.grpc(reader.reading());
    await page.getByRole('link', { name: `Explain ${decisionId}` }).waitFor();
  });

  it('keeps its filters in the URL, and shows nothing else', async () => {
    await denied();
    await page.getByRole('button', { name: 'Denied', exact: true }).click();
    await rows().filter({ hasText: 'route_unknown' }).first().waitFor();
    assert.equal(query().get('verdict'), 'deny');
    assert.equal(await rows().filter({ hasText: 'allowed' }).count(), 0);
    await page.reload();
    await rows().filter({ hasText: 'route_unknown' }).first().waitFor();
    assert.equal(await rows().filter({ hasText: 'allowed' }).count(), 0);
  });

  it('filters what comes live, too', async () => {
    await live();
    const allowed = await scene.service.grpc(reader.reading());
    const { decisionId } = await denied();
    await page.getByRole('link', { name: `Explain ${decisionId}` }).waitFor();
    assert.equal(await page.getByRole('link', { name: `Explain ${allowed.decisionId}` }).count(), 0);
  });

  it('says what is wrong with a filter', async () => {
    await page.getByLabel('Runtime').fill('NOT AN ID');
    await page.getByLabel('Runtime').press('Enter');
    await page.getByRole('alert').getByText('runtime').waitFor();
    await page.getByRole('button', { name: 'Clear' }).click();
    await rows().first().waitFor();
    assert.equal(query().toString(), '');
  });

  it('waits while it is paused, and says how much', async () => {
    await live();
    await page.getByRole('button', { name: 'Pause' }).click();
    const { decisionId } = await scene.service.grpc(reader.reading());
    await page.getByRole('button', { name: 'Resume (1 new)' }).waitFor();
    const link = page.getByRole('link', { name: `Explain ${decisionId}` });
    assert.equal(await link.count(), 0);
    await page.getByRole('button', { name: 'Resume' }).click();
    await link.waitFor();
  });

  it('is walked through by keys, and stands still meanwhile', async () => {
    const third = rows().nth(2);
    const name = await third.getByRole('link').getAttribute('href');
    await page.getByRole('region', { name: 'Decisions, the latest first' }).focus();
    for (const key of ['ArrowDown', 'j', 'j']) await page.keyboard.press(key);
    await page.locator('tr.chosen').waitFor();
    await scene.service.grpc(reader.reading());
    await page.getByRole('button', { name: '1 new' }).waitFor();
    assert.equal(await page.locator('tr.chosen').getByRole('link').getAttribute('href'), name);
    await page.keyboard.press('Enter');
    await page.waitForURL(`**${name}`);
    await page.goBack();
    await live();
  });

  it(`has ${MANY} of them and draws those that are seen`, async () => {
    await page.getByRole('region', { name: 'Decisions, the latest first' }).waitFor();
    // Some at a time: what comes all at once is shed, and shares records.
    for (let n = 0; n < MANY; n += AT_ONCE)
      await Promise.all(Array.from({ length: AT_ONCE }, () => scene.service.grpc(reader.reading())));
    const table = page.locator('table.rows');
    await page.getByText(/^(?:[6-9]\d\d|\d,\d{3}) decisions/).waitFor();
    assert.ok((await rows().count()) < 80, `${await rows().count()} rows are drawn`);
    await page.getByRole('region', { name: 'Decisions, the latest first' }).focus();
    await page.keyboard.press('End');
    await page.locator('tr.chosen').waitFor();
    const index = Number(await page.locator('tr.chosen').getAttribute('aria-rowindex'));
    assert.ok(index > MANY, String(index));
    assert.ok((await rows().count()) < 80);
    assert.ok(Number(await table.getAttribute('aria-rowcount')) >= index);
    await page.keyboard.press('Escape');
  });

  it('exports what is shown', async () => {
    await page.goto(`${scene.origin}${BASE}/decisions?runtime=writer-1`);
    await live();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'CSV' }).click(),
    ]);
    const chunks: Buffer[] = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
    const lines = Buffer.concat(chunks).toString().trim().split('\r\n');
    assert.equal(lines.length, 2, lines.join('\n'));
    assert.match(lines[1] ?? '', /writer-1/);
  });

  it('goes on after the connection was lost, with what it missed', async () => {
    const detour = await scene.detour();
    const other = await scene.signedIn('/decisions', undefined, {}, detour.origin);
    await other.getByText('Live', { exact: true }).waitFor();
    detour.cut();
    await other.getByText('Offline, trying again').waitFor();
    const { decisionId } = await scene.service.grpc(reader.reading());
    detour.mend();
    await other.getByRole('link', { name: `Explain ${decisionId}` }).waitFor();
    await other.getByText('Live', { exact: true }).waitFor();
    detour.close();
  });

  it('does nothing that its policy forbids', () =>
    assert.deepEqual(
      scene.problems.filter((text) => !/net::ERR_/.test(text)),
      [],
    ));
});
