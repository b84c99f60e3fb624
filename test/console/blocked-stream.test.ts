import assert from 'node:assert/strict';
import type { Page, Route } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene, signInOn } from '../support/console.ts';
import type { Agent } from '../support/serving.ts';

const STREAM = '**/decisions/stream**';
const BADGE = 'No live stream: asked every 3 s';
/** What stands between may answer in many ways. */
const WAYS: readonly (readonly [string, (route: Route) => Promise<void>])[] = [
  ['cuts the connection', (route) => route.abort()],
  [
    'answers with a page of its own',
    (route) => route.fulfill({ contentType: 'text/html', body: '<p>Hello' }),
  ],
  ['refuses it in its own words', (route) => route.fulfill({ status: 403, body: 'Forbidden' })],
  ['has no time for it', (route) => route.fulfill({ status: 504, body: 'Gateway Timeout' })],
];

describe('where a proxy keeps streams back', function () {
  this.timeout(60_000);
  const folder = emptyFolder();
  let scene: Scene;
  let agent: Agent;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    agent = await scene.service.onboard('bot-1');
    await scene.service.grpc(agent.reading());
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const decided = async (page: Page) => {
    const { decisionId } = await scene.service.grpc(agent.reading());
    await page.getByRole('link', { name: `Explain ${decisionId}` }).waitFor();
  };

  for (const [way, answer] of WAYS)
    it(`which ${way}, the page asks, says so, and is live again when it may`, async () => {
      const page = await scene.newPage();
      await page.route(STREAM, answer);
      await signIn(page);
      await page.getByText(BADGE).waitFor();
      await decided(page);
      await decided(page);
      await page.unroute(STREAM);
      await page.getByText('Live', { exact: true }).waitFor();
      await decided(page);
      await page.context().close();
    });

  it('which gathers an answer to its end, the page waits no longer than it should', async () => {
    const page = await scene.newPage();
    await page.clock.install();
    await page.route(STREAM, () => undefined);
    await signIn(page);
    await page.getByText('Connecting', { exact: true }).waitFor();
    await page.clock.fastForward(9000);
    await page.getByText(BADGE).waitFor();
    await decided(page);
    await page.context().close();
  });

  it('a stream that says nothing for long is opened anew', async () => {
    const page = await scene.newPage();
    await page.clock.install();
    await signIn(page);
    await page.getByText('Live', { exact: true }).waitFor();
    const anew = page.waitForRequest(/decisions\/stream/);
    await page.clock.fastForward(45_000);
    assert.notEqual((await anew).headers()['last-event-id'] ?? '', '');
    await page.getByText('Live', { exact: true }).waitFor();
    await decided(page);
    await page.context().close();
  });

  it('the overview shows what was counted, and no zeros of a stream that does not come', async () => {
    const page = await scene.signedIn('');
    await page.getByRole('img', { name: /^Decisions per second/ }).waitFor();
    await page.route('**/monitor/events**', (route) => route.abort());
    await page.goto(`${scene.origin}${BASE}`);
    await page.getByText('No live stream comes through').waitFor();
    await page.getByRole('img', { name: /^Decisions per minute/ }).waitFor();
    await page.getByRole('link', { name: /Decisions per second.*over the last minute/ }).waitFor();
    assert.ok(await page.getByRole('button', { name: 'Live' }).isDisabled());
    await page.unroute('**/monitor/events**');
    await page.getByRole('img', { name: /^Decisions per second/ }).waitFor();
    assert.equal(await page.getByText('No live stream comes through').count(), 0);
  });

  const signIn = (page: Page) => signInOn(page, `${scene.origin}${BASE}/decisions`, scene.ownerKey);
});
