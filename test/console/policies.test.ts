import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { stringify } from 'yaml';
import type { Bundle } from '../../src/policy/bundle.ts';
import { emptyFolder } from '../cli/lemma.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { assertAccessible } from '../support/accessible.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import { policyRepository, type Repository } from '../support/git-repository.ts';
import { type Agent, servedConfig } from '../support/serving.ts';

/** Decisions over which an impact takes seconds. */
const SLOW = 300;

/** The service's own policy is in force; the candidate fails where a query does not say `tell=allow`. */
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
    candidate = await scene.publishCandidate();
    page = await scene.signedIn('/policies');
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const runTests = async (rego: string) => {
    const path = `/api/wallet/policies/${candidate.sha256}/tests`;
    const { status, body } = await scene.service.control(path, { tests: { 'low/told_test.rego': rego } });
    assert.equal(status, 200, JSON.stringify(body));
  };
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

  it('have an impact that is cancelled while it is evaluated, and says so', async () => {
    // With these the candidate loops to the last step that it may take.
    for (let n = 0; n < SLOW; n += 1)
      await scene.service.grpc({ ...agent.reading(), path: '/v1/documents/7?tell=loop' });
    await page.goto(`${scene.origin}${BASE}/policies/impact?sha256=${candidate.sha256}`);
    await page.getByRole('button', { name: 'Evaluate again' }).click();
    await page.getByRole('progressbar', { name: 'Decisions evaluated' }).waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('cancelled', { exact: true }).waitFor();
    await page.getByText('an operator ended it').waitFor();
    assert.equal(await page.getByRole('region', { name: 'Changes' }).count(), 0);
    const { body } = await scene.service.control(`/api/wallet/policies/${candidate.sha256}/impact`);
    assert.equal((body.impact as { state: string }).state, 'cancelled');
  });

  it('have tests that are not known, until the service has run some', async () => {
    await page.goto(`${scene.origin}${BASE}/policies`);
    const row = page.getByRole('row', { name: /low-100/ });
    await row.getByRole('link', { name: 'not known' }).click();
    await page.getByText('Its tests are not known', { exact: true }).waitFor();
    const test =
      'package told_test\n\ntest_x if data.lemma.low.told == "allow" with input.request.query as {"tell": ["allow"]}\n';
    await runTests(test);
    await page.reload();
    await page.getByRole('heading', { name: 'Tests of low-100' }).waitFor();
    const missed = page.getByRole('region', { name: /lines that no test reaches/ }).locator('.hit');
    await missed.first().waitFor();
    assert.match(await missed.first().innerText(), /decision := \{"allow": true/);
    await page.goto(`${scene.origin}${BASE}/policies`);
    await row.getByRole('link', { name: '1 passed' }).waitFor();
  });

  it('say which of their tests failed, and do not come into force then', async () => {
    await runTests('package told_test\n\ntest_wrong if false\n');
    await page.goto(`${scene.origin}${BASE}/policies`);
    const row = page.getByRole('row', { name: /low-100/ });
    await row.getByRole('link', { name: '1 failed' }).waitFor();
    await row.getByRole('button', { name: 'Activate' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('1 of its tests failed').waitFor();
    await dialog.getByRole('button', { name: 'Activate' }).click();
    await dialog.getByRole('alert').getByText('1 of the tests of low-100 failed').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await row.getByRole('link', { name: '1 failed' }).click();
    await page.getByRole('list', { name: 'Failed tests' }).getByText('data.told_test.test_wrong').waitFor();
    await assertAccessible(page);
    await runTests('package told_test\n\ntest_right if true\n');
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

  it('are put into force behind a question: the reason has the focus, and Escape lets it be', async () => {
    const activate = page.getByRole('row', { name: /low-100/ }).getByRole('button', { name: 'Activate' });
    await activate.click();
    const dialog = page.getByRole('dialog', { name: 'Activate low-100?' });
    await dialog.locator('input:focus').and(dialog.getByLabel('Reason')).waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    await activate.waitFor();
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

describe('policies from a repository, in the console', function () {
  this.timeout(4 * PATIENT_MS);
  const folder = emptyFolder();
  let scene: Scene;
  let repository: Repository;
  before(async function () {
    if (!wasmBuilt()) this.skip();
    mkdirSync(join(folder.path, 'repo'));
    repository = policyRepository(join(folder.path, 'repo'));
    const bundles = { source: 'git+file:./repo#main', every: '1s' };
    writeFileSync(join(folder.path, 'lemma.yaml'), stringify({ ...servedConfig(), bundles }));
    scene = await consoleScene(this, folder.path);
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  it('say which commit is in force', async () => {
    const page = await scene.signedIn('/policies');
    await page.getByText('up to date', { exact: true }).waitFor();
    const commit = repository.git('rev-parse', 'HEAD').slice(0, 12);
    await page.locator('dl').getByText(commit, { exact: true }).waitFor();
  });

  it('say who wrote a revision, by which commit, and what its tests came to', async () => {
    const page = await scene.signedIn('/policies');
    const commit = repository.git('rev-parse', 'HEAD').slice(0, 12);
    const row = page.getByRole('region', { name: 'Revisions' }).getByRole('row', { name: /in force/ });
    const text = await row.innerText();
    assert.match(text, new RegExp(`\\d+ passed\\s+[\\d.]+ % covered\\s+Ada\\s+${commit}`));
  });

  it('say which commit never came into force, and why', async () => {
    const subject = 'wrong <img src=x onerror=alert(1)>';
    repository.edit('low/data.json', '30000', '20000');
    const wrong = repository.commit(subject);
    await scene.service.noted(new RegExp(`commit ${wrong} is not put into force`));
    const page = await scene.signedIn('/policies');
    await page.getByText('behind its branch', { exact: true }).waitFor();
    const row = page.getByRole('region', { name: 'Rejected commits' }).locator('tbody tr');
    const text = await row.innerText();
    assert.match(text, new RegExp(wrong.slice(0, 12)));
    assert.match(text, /tests_failed/);
    assert.ok(text.includes(subject), text);
    assert.deepEqual(scene.problems, []);
  });
});
