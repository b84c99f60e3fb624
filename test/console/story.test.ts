import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { emptyFolder, lemma } from '../cli/lemma.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import { request } from '../support/kit.ts';

const POLICIES = fileURLToPath(new URL('../../policies', import.meta.url));
/** Pictures of this run. */
const PICTURES = fileURLToPath(new URL('../../coverage/console', import.meta.url));
const PASSPHRASE = 'seven quiet herons at dusk';

/** One person, from nothing: each step goes on from where the one before left the browser. */
describe('the whole story in the browser', function () {
  this.timeout(2 * PATIENT_MS);
  this.bail(true);
  const folder = emptyFolder();
  let scene: Scene;
  let page: Page;
  let credential: string;
  before(async function () {
    if (!wasmBuilt()) this.skip();
    mkdirSync(PICTURES, { recursive: true });
    scene = await consoleScene(this, folder.path);
    page = await scene.newPage();
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const picture = (name: string) => page.screenshot({ path: join(PICTURES, `story-${name}.png`) });
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
  const cli = async (...args: string[]) => {
    const env = {
      LEMMA_BASE_URL: scene.service.controlBase,
      LEMMA_OPERATOR_KEY: scene.service.operatorKey,
    };
    const { code, out, err } = await lemma(folder.path, [...args, '--json'], env);
    assert.equal(code, 0, `${args.join(' ')}: ${out} ${err}`);
  };
  const ask = () => scene.service.grpc(request({ headers: [['x-lemma-credential', credential]] }));

  it('a wallet is made, and its words are confirmed', async () => {
    await page.goto(`${scene.origin}/wallet`);
    await page.getByRole('link', { name: 'Make a wallet' }).click();
    const words = await page.getByLabel('The words of this wallet').locator('code').allTextContents();
    await picture('1-words');
    await page.getByLabel('I have written them down').check();
    await press('Go on');
    for (const field of await page.getByLabel(/^Word \d+$/).all()) {
      const name = await page.locator(`label[for="${await field.getAttribute('id')}"]`).textContent();
      await field.fill(words[Number(name?.slice(5)) - 1] ?? '');
    }
    await press('Confirm');
    await page.getByLabel('Passphrase', { exact: true }).fill(PASSPHRASE);
    await page.getByLabel('Passphrase, again').fill(PASSPHRASE);
    await press('Protect by the passphrase');
    await page.getByRole('button', { name: 'Lock' }).waitFor();
    await picture('2-wallet');
  });

  it('its entry makes it an operator, and it signs in', async () => {
    const entry = await page.getByRole('region', { name: /operator entry/ }).innerText();
    const [, subject = '', key = ''] = /add (\S+) --key (\S+)/.exec(entry) ?? [];
    await cli('operators', 'add', subject, '--key', key, '--role', 'owner', '--name', 'ada', '--platform');
    await press('Sign in to Agent Ops');
    await page.getByRole('navigation', { name: 'Agent Ops' }).waitFor();
  });

  it('a runtime that the command line connects decides, and is seen to, while one looks', async () => {
    await page.getByRole('link', { name: 'Decisions', exact: true }).click();
    await page.getByRole('heading', { name: 'Decisions', exact: true }).waitFor();
    await cli(
      ...['firewall-connect', '--no-start', '--runtime-id', 'bot-1', '--agent-id', 'bot'],
      ...['--workspace-id', 'prod', '--scope', 'documents.read', '--audience', 'https://api.example.com'],
    );
    credential = readFileSync(join(folder.path, '.lemma', 'bot-1.credential'), 'utf8').trim();
    assert.equal((await ask()).verdict, 'allow');
    await page.locator('main').getByText('bot-1').first().waitFor();
    await picture('3-decisions');
  });

  it('it is killed: the next request is denied, and shown so', async () => {
    await page.goto(`${scene.origin}${BASE}/runtimes/bot-1`);
    await press('Kill');
    await page.getByRole('dialog').getByLabel('Reason').fill('it was stolen');
    await press('Kill it now');
    await page.getByRole('dialog').getByText('Nothing of it passes any node.').waitFor();
    await picture('4-killed');
    await press('Done');
    await page.getByRole('link', { name: 'Decisions', exact: true }).click();
    const { verdict, decisionId } = await ask();
    assert.equal(verdict, 'runtime_killed');
    await page.locator('main').getByText('runtime_killed').first().waitFor();
    await page.goto(`${scene.origin}${BASE}/decisions/${decisionId}`);
    await page.locator('main').getByText('runtime_killed').first().waitFor();
    await picture('5-explained');
  });

  it('a policy is published with its tests, its impact is looked at, it is put into force here, and rolled back', async () => {
    cpSync(POLICIES, join(folder.path, 'policies'), { recursive: true });
    await cli('policy', 'build', '--out', 'next', '--sign-key', '.lemma/keys/bundle.key', '--serial', '100');
    await cli('policy', 'publish', 'next', '--tests', 'policies');
    await page.goto(`${scene.origin}${BASE}/policies`);
    const dialog = page.getByRole('dialog');
    const next = page.getByRole('row').filter({ has: page.getByRole('cell', { name: '100', exact: true }) });
    await next.getByRole('link', { name: /^\d+ passed/ }).waitFor();
    await next.getByRole('link', { name: 'Impact' }).click();
    await press('Evaluate');
    await page.getByText('done', { exact: true }).waitFor();
    await page.getByText('No decision would have come out otherwise').waitFor();
    await page.getByText(/gave their recorded result again first/).waitFor();
    await picture('6-impact');
    await page.getByRole('link', { name: 'Policies', exact: true }).first().click();
    await next.getByRole('button', { name: 'Activate' }).click();
    await dialog.getByLabel('Reason').fill('the first of our own');
    await dialog.getByRole('button', { name: 'Activate', exact: true }).click();
    await next.getByText('in force').waitFor();
    await picture('7-policy');
    await page.locator('main').getByRole('button', { name: 'Roll back' }).first().click();
    await dialog.getByLabel('Reason').fill('it denied too much');
    await dialog.getByRole('button', { name: 'Roll back', exact: true }).click();
    await next.getByRole('button', { name: 'Activate' }).waitFor();
    await page.getByText('rolled back to').first().waitFor();
    await picture('8-rolled-back');
  });

  it('does nothing that the policy of its pages forbids', () => assert.deepEqual(scene.problems, []));
});
