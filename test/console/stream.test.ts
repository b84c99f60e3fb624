import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { KEPT } from '../../src/console/lib/feed-buffer.ts';
import { emptyFolder } from '../cli/lemma.ts';
import { consoleScene, type Scene } from '../support/console.ts';
import { type DecisionLoad, decisionLoad, patiently, recorded } from '../support/decision-load.ts';
import { feedSaid, toldOf } from '../support/feed-page.ts';
import { probePage } from '../support/page-probe.ts';
import { eventually } from '../support/waiting.ts';

const PER_SECOND = 500;
const DRAWN_AT_MOST = 80;
const MIB = 1024 * 1024;
const TIMES = "[...document.querySelectorAll('table.rows tbody time')].map(({ dateTime }) => dateTime)";

/** What holds however fast the machine is; `npm run bench -- stream` measures the rest. */
describe('a stream of decisions, 500 a second', function () {
  this.timeout(180_000);
  const folder = emptyFolder();
  let scene: Scene;
  let page: Page;
  let load: DecisionLoad;
  before(async function () {
    patiently(folder.path);
    scene = await consoleScene(this, folder.path);
    load = await decisionLoad(scene.service);
    page = await scene.signedIn('/decisions');
    await page.getByText('Live', { exact: true }).waitFor();
  });
  after(async () => {
    load?.close();
    await scene?.close();
    folder.remove();
  });

  const rows = () => page.locator('table.rows tbody tr:not(.space)');
  /** The page has heard of every record, and says so. */
  const toldOfAll = async () => {
    const all = await recorded(scene.service);
    await eventually(async () => toldOf(await feedSaid(page)) >= all);
    assert.equal(toldOf(await feedSaid(page)), all);
    return all;
  };

  it('fills the page up to its bound, and says what makes room', async () => {
    await load.send(KEPT + 500, 2 * PER_SECOND);
    const all = await toldOfAll();
    const { rows, letGo, gap } = await feedSaid(page);
    assert.deepEqual({ rows, letGo, gap }, { rows: KEPT, letGo: all - KEPT, gap: false });
  });

  it('then leaves no trace of what streamed through: no memory, no node, no listener', async () => {
    const probe = await probePage(page);
    const before = await probe.state();
    await load.send(8 * PER_SECOND, PER_SECOND);
    await toldOfAll();
    // What the probe itself has gathered.
    await probe.times();
    const after = await probe.state();
    // 4,000 records are 10 MiB; their rows alone, 2.3.
    assert.ok(after.heap - before.heap < 1.5 * MIB, `${(after.heap - before.heap) / MIB} MiB more`);
    assert.ok(after.nodes - before.nodes < 300, `${after.nodes - before.nodes} nodes more`);
    assert.ok(
      after.listeners - before.listeners < 20,
      `${after.listeners - before.listeners} listeners more`,
    );
    assert.ok((await rows().count()) < DRAWN_AT_MOST);
  });

  it('stands still while it is paused, counts on, and keeps no more', async () => {
    await page.getByRole('button', { name: 'Pause' }).click();
    const first = await rows().first().getByRole('link').getAttribute('href');
    const paused = await recorded(scene.service);
    await load.send(KEPT + 500, 2 * PER_SECOND);
    const all = await toldOfAll();
    const { waiting } = await feedSaid(page);
    assert.equal(waiting, all - paused);
    assert.equal(await rows().first().getByRole('link').getAttribute('href'), first);
  });

  it('catches up when it goes on, with the latest on top', async () => {
    await page.getByRole('button', { name: 'Resume' }).click();
    const { decisionId } = await scene.service.grpc((await scene.service.onboard('last-1')).reading());
    await rows().first().getByRole('link', { name: decisionId }).waitFor();
    const all = await toldOfAll();
    const { rows: kept, letGo, waiting } = await feedSaid(page);
    assert.deepEqual({ kept, letGo, waiting }, { kept: KEPT, letGo: all - KEPT, waiting: 0 });
  });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});

describe('a stream of decisions that broke off', function () {
  this.timeout(120_000);
  const folder = emptyFolder();
  let scene: Scene;
  let load: DecisionLoad;
  before(async function () {
    patiently(folder.path);
    scene = await consoleScene(this, folder.path);
    load = await decisionLoad(scene.service);
    await load.send(50, PER_SECOND);
  });
  after(async () => {
    load?.close();
    await scene?.close();
    folder.remove();
  });

  /** A page that heard nothing of so many records, and does again. */
  const missing = async (count: number) => {
    const detour = await scene.detour();
    const page = await scene.signedIn('/decisions', undefined, {}, detour.origin);
    await page.getByText('Live', { exact: true }).waitFor();
    await eventually(async () => (await feedSaid(page)).rows > 0);
    const { rows } = await feedSaid(page);
    const before = await recorded(scene.service);
    detour.cut();
    await page.getByText('Offline, trying again').waitFor();
    await load.send(count, 2 * PER_SECOND);
    detour.mend();
    const { decisionId } = await scene.service.grpc((await scene.service.onboard('last-1')).reading());
    await page.getByRole('link', { name: `Explain ${decisionId}` }).waitFor();
    await page.getByText('Live', { exact: true }).waitFor();
    const missed = (await recorded(scene.service)) - before;
    return { page, detour, rows, missed };
  };

  it('brings all that was missed, and no longer says that it is behind', async () => {
    const { page, detour, rows, missed } = await missing(1500);
    await eventually(async () => (await feedSaid(page)).rows >= rows + missed);
    const said = await feedSaid(page);
    assert.deepEqual([said.rows, said.letGo, said.gap], [rows + missed, 0, false]);
    detour.close();
  });

  it('passes over what nobody could see of a long break, and says so', async () => {
    const { page, detour } = await missing(KEPT + 1500);
    await eventually(async () => (await feedSaid(page)).gap);
    const times = (await page.evaluate(TIMES)) as string[];
    assert.deepEqual(times, times.toSorted().reverse());
    assert.ok((await feedSaid(page)).rows <= KEPT);
    detour.close();
  });
});
