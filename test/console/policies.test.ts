import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import type { Bundle } from '../../src/policy/bundle.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { emptyFolder } from '../cli/lemma.ts';
import { told } from '../pdp/support.ts';
import { republished } from '../policy/support.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import type { Agent } from '../support/serving.ts';

/** The service's own policy is in force; the candidate denies whatever does not say `tell=allow`. */
describe('policies that are tried in the console', function () {
  this.timeout(90_000);
  const folder = emptyFolder();
  let scene: Scene;
  let page: Page;
  let agent: Agent;
  let candidate: Bundle;
  const decisions: string[] = [];
  before(async function () {
    scene = await consoleScene(this, folder.path);
    agent = await scene.service.onboard('bot-1');
    for (let n = 0; n < 3; n += 1) decisions.push((await scene.service.grpc(agent.reading())).decisionId);
    const seed = fromBase64url(readFileSync(join(folder.path, '.lemma/keys/bundle.key'), 'utf8').trim());
    candidate = signBundle(republished(told, 100, 'low-100'), seed ?? new Uint8Array());
    const bundle_base64 = gzipSync(writeTar(candidate.files)).toString('base64');
    const { status, body } = await scene.service.control('/api/wallet/policies/publish', { bundle_base64 });
    assert.equal(status, 200, JSON.stringify(body));
    page = await scene.signedIn('/policies');
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const changes = (name: string) => page.getByRole('region', { name }).locator('tbody tr');

  it('lead from a revision to its impact, before it is in force', async () => {
    await page
      .getByRole('row', { name: /low-100/ })
      .getByRole('link', { name: 'Impact' })
      .click();
    await page.getByRole('heading', { name: 'Impact of low-100' }).waitFor();
    await page.getByRole('button', { name: 'Evaluate', exact: true }).click();
    await page.getByText('done', { exact: true }).waitFor();
    assert.equal(await changes('Changes').count(), decisions.length);
    assert.equal(
      await changes('Changes')
        .locator('.badge', { hasText: /^error$|^newly denied$/ })
        .count(),
      3,
    );
  });

  it('lead from what would change to the decision', async () => {
    await changes('Changes').first().getByRole('link').first().click();
    await page.getByRole('heading', { name: 'Allowed' }).waitFor();
    assert.ok(decisions.includes(new URL(page.url()).pathname.split('/').at(-1) ?? ''));
  });

  it('tell of an impact to who comes later', async () => {
    await page.goto(`${scene.origin}${BASE}/policies/impact?sha256=${candidate.sha256}`);
    await page.getByText('done', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Evaluate again' }).waitFor();
  });

  it('are shadowed, and what they would have changed is counted as it comes', async () => {
    await page.goto(`${scene.origin}${BASE}/policies`);
    await page.getByText('Nothing is shadowed').waitFor();
    await page
      .getByRole('row', { name: /low-100/ })
      .getByRole('button', { name: 'Shadow' })
      .click();
    await page.getByText('in the shadow', { exact: true }).waitFor();
    const { decisionId } = await scene.service.grpc(agent.reading());
    await changes('Latest changes of the shadow').getByText(decisionId).waitFor();
  });

  it('are shadowed no more when told', async () => {
    await page.getByRole('button', { name: 'End its shadow' }).click();
    await page.getByText('Nothing is shadowed').waitFor();
    const { body } = await scene.service.control('/api/wallet/policies/shadow');
    assert.deepEqual(body.bundles, []);
  });

  it('come into force, and go back, as is confirmed', async () => {
    const row = (name: RegExp) => page.getByRole('row', { name });
    await row(/low-100/)
      .getByRole('button', { name: 'Activate' })
      .click();
    await page
      .getByRole('dialog')
      .getByRole('link', { name: 'what it would have decided otherwise' })
      .waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Activate' }).click();
    await row(/low-100 in force/).waitFor();
    assert.equal((await scene.service.grpc(agent.reading())).verdict === 'allow', false);
    await page.getByRole('button', { name: 'Roll back' }).first().click();
    await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
    await row(/low-100/)
      .getByRole('button', { name: 'Activate' })
      .waitFor();
    assert.equal((await scene.service.grpc(agent.reading())).verdict, 'allow');
  });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});
