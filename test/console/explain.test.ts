import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import type { Agent } from '../support/serving.ts';

describe('a decision, explained', function () {
  this.timeout(60_000);
  const folder = emptyFolder();
  let scene: Scene;
  let page: Page;
  let agent: Agent;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    agent = await scene.service.onboard('bot-1');
    page = await scene.signedIn('/decisions');
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const open = async (id: string) => {
    await page.goto(`${scene.origin}${BASE}/decisions/${id}`);
    await page.getByRole('region', { name: 'Verdict' }).waitFor();
  };
  /** A request to write with no signature of its own: a high-risk policy wants one. */
  const unsigned = () => scene.service.grpc({ ...agent.reading(), method: 'PUT' });

  it('says that it was evaluated again, and came out equal', async () => {
    const { decisionId } = await scene.service.grpc(agent.writing());
    await open(decisionId);
    await page.getByRole('heading', { name: 'Allowed' }).waitFor();
    await page.getByText('Evaluated again: equal').waitFor();
  });

  it('draws the chain from the root to the one that acts', async () => {
    const links = page.locator('ol.chain > li h3');
    assert.deepEqual(await links.allInnerTexts(), ['Root identity', 'Delegation', 'Runtime binding']);
  });

  it('shows the Rego that denied, line by line, with the values that it saw', async () => {
    const { decisionId, verdict } = await unsigned();
    await open(decisionId);
    await page.locator('code.reason', { hasText: verdict }).first().waitFor();
    const rule = page.getByRole('region', { name: `rule of ${verdict}` });
    await rule.waitFor();
    assert.match(await rule.innerText(), new RegExp(`deny contains "${verdict}"`));
    await page
      .locator('dt', { hasText: /^input\./ })
      .first()
      .waitFor();
  });

  it('has each view of the policy in the URL', async () => {
    await page.getByRole('tab', { name: 'Rego' }).click();
    assert.equal(new URL(page.url()).searchParams.get('view'), 'rego');
    await page.reload();
    await page.locator('details.file[open] .hit').first().waitFor();
  });

  it('shows how far a request came', async () => {
    const { decisionId } = await scene.service.grpc({ ...agent.reading(), path: '/v1/nowhere' });
    await open(decisionId);
    await page.locator('li.denied-here', { hasText: 'Request' }).waitFor();
    assert.equal(await page.locator('li.not-reached').count(), 5);
    await page.getByText('No policy was asked').waitFor();
  });

  it('is copied as Markdown', async () => {
    const { decisionId, verdict } = await unsigned();
    await open(decisionId);
    await page.getByRole('button', { name: 'Copy as Markdown' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    const text = String(await page.evaluate('navigator.clipboard.readText()'));
    assert.match(text, new RegExp(`^### Denied: \`${verdict}\``));
    assert.match(text, new RegExp(`\\[${decisionId}\\]\\(${scene.origin}${BASE}/decisions/${decisionId}\\)`));
    assert.match(text, /- Evaluated again: equal/);
    assert.match(text, /\| 3 \| runtime \| `documents\.\*` \|/);
    assert.match(text, /```rego\n/);
  });

  it('shows markup that somebody sent as text', async () => {
    const markup = '/v1/<img/src=x/onerror=alert(1)>';
    const { decisionId } = await scene.service.grpc({ ...agent.reading(), path: markup });
    await open(decisionId);
    await page.getByText(markup).first().waitFor();
    assert.equal(await page.locator('main img').count(), 0);
  });

  it('says so where there is no such decision', async () => {
    await page.goto(`${scene.origin}${BASE}/decisions/dec_0000000000000000000000`);
    await page.getByRole('heading', { name: 'There is no such thing here' }).waitFor();
  });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});
