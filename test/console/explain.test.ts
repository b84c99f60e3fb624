import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { regoIn } from '../../src/policy/bundle.ts';
import { emptyFolder } from '../cli/lemma.ts';
import { bytes, withFile } from '../policy/support.ts';
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

  it('shows the rules that decided, line by line, with the values beside their expressions', async () => {
    const { decisionId, verdict } = await unsigned();
    await open(decisionId);
    await page.locator('code.reason', { hasText: verdict }).first().waitFor();
    const deciding = page.getByRole('list', { name: 'Rules that decided' }).locator('> li');
    await deciding.first().waitFor();
    const text = await deciding.first().innerText();
    assert.match(text, /^\s*fired/);
    assert.match(text, new RegExp(`deny contains "${verdict}"`));
    const value = deciding.locator('dl.facts > div', { hasText: 'input.proof.pop.present' }).first();
    assert.equal(await value.locator('dd').textContent(), 'false');
  });

  it('shows the rules that failed, where they did', async () => {
    await page.getByText('other rules were looked at').click();
    const failed = page
      .getByRole('list', { name: 'Other rules' })
      .locator('> li', { hasText: /^\s*failed/ })
      .first();
    await failed.locator('summary').click();
    await failed.getByText(/^Line \d+ did not hold: /).waitFor();
    await failed.locator('.hit').waitFor();
  });

  it('says what the active revision would say today', async () => {
    const today = page.locator('section.card', { hasText: 'Under the active revision today' });
    await today.getByText('deny', { exact: true }).waitFor();
    await today.getByText('as then').waitFor();
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
    // Proof, live state, policy; and the answer that a request gets which passes all of them.
    assert.equal(await page.locator('li.not-reached').count(), 4);
    await page.getByText('No policy was asked').waitFor();
  });

  it('is copied as Markdown', async () => {
    const { decisionId, verdict } = await unsigned();
    await open(decisionId);
    await page.getByRole('list', { name: 'Rules that decided' }).waitFor();
    await page.getByRole('button', { name: 'Copy as Markdown' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    const text = String(await page.evaluate('navigator.clipboard.readText()'));
    assert.match(text, new RegExp(`^## Denied: \`${decisionId}\``));
    assert.match(text, new RegExp(`\\[${decisionId}\\]\\(${scene.origin}${BASE}/decisions/${decisionId}\\)`));
    assert.match(text, /Evaluated again: equal, byte for byte/);
    assert.match(text, /\| 3 \| runtime \| `documents\.\*` \|/);
    assert.match(text, new RegExp(`### Fired: \`data\\..* gives \`"${verdict}"\``));
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

  it('says so where the Rego comes to another result than what was recorded', async () => {
    // Signed by who builds policies here, but its module was not made of this Rego.
    const { sha256 } = await scene.publishCandidate((bundle) => {
      const [path = '', text = ''] = [...regoIn(bundle.files)][0] ?? [];
      const other = text.replace('"allow": true', '"allow": false');
      assert.notEqual(other, text);
      return withFile(bundle, path, bytes(other));
    });
    const { status } = await scene.service.control('/api/wallet/policies/activate', { bundles: [sha256] });
    assert.equal(status, 200);
    const { decisionId, verdict } = await scene.service.grpc({
      ...agent.reading(),
      path: '/v1/documents/7?tell=allow',
    });
    assert.equal(verdict, 'allow');
    await open(decisionId);
    await page.getByText('Evaluated again: equal').waitFor();
    const warning = page.locator('.notice', { hasText: 'comes to another result than the record' });
    assert.match(await warning.innerText(), /what follows is not how it was decided/);
    await page.getByText('As OPA').waitFor({ state: 'detached' });
  });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});
