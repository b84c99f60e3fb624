import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { emptyFolder, environmentIn } from '../cli/lemma.ts';
import { assertAccessible } from '../support/accessible.ts';
import { consoleScene, type Scene } from '../support/console.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const VECTORS = new URL('../vectors/bytes.json', import.meta.url);
const PASSPHRASE = 'seven quiet herons at dusk';
/** What the browser has of this origin, as JSON. */
const KEPT = `new Promise((resolve, reject) => {
  const opening = indexedDB.open('lemma-wallet');
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const asking = opening.result.transaction('wallet').objectStore('wallet').getAll();
    asking.onerror = () => reject(asking.error);
    asking.onsuccess = () => {
      opening.result.close();
      resolve(JSON.stringify([asking.result, { ...localStorage }, { ...sessionStorage }]));
    };
  };
})`;
const WIDTHS = '[document.documentElement.scrollWidth, document.documentElement.clientWidth]';
const SUBJECT = /did:lemma:ppid_[0-9a-f]{64}/;

describe('the wallet', function () {
  this.timeout(120_000);
  const folder = emptyFolder();
  let scene: Scene;
  before(async function () {
    scene = await consoleScene(this, folder.path);
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  const at = async (path = '', options: Parameters<Scene['newPage']>[0] = {}) => {
    const page = await scene.newPage(options);
    await page.goto(`${scene.origin}/wallet${path}`);
    return page;
  };
  const protect = async (page: Page) => {
    await page.getByLabel('Passphrase', { exact: true }).fill(PASSPHRASE);
    await page.getByLabel('Passphrase, again').fill(PASSPHRASE);
    await page.getByRole('button', { name: 'Protect by the passphrase' }).click();
  };
  const unlock = async (page: Page, passphrase = PASSPHRASE, act = 'Unlock') => {
    await page.getByLabel('Passphrase').fill(passphrase);
    await page.getByRole('button', { name: act, exact: true }).click();
  };
  /** Written down and confirmed, up to its protection. */
  const written = async (page: Page) => {
    await page.getByRole('link', { name: 'Make a wallet' }).click();
    const words = await page.getByLabel('The words of this wallet').locator('code').allTextContents();
    await page.getByLabel('I have written them down').check();
    await page.getByRole('button', { name: 'Go on' }).click();
    for (const field of await page.getByLabel(/^Word \d+$/).all()) {
      const id = await field.getAttribute('id');
      const name = await page.locator(`label[for="${id}"]`).textContent();
      await field.fill(words[Number(name?.slice(5)) - 1] ?? '');
    }
    await page.getByRole('button', { name: 'Confirm' }).click();
    return words;
  };
  const made = async () => {
    const page = await at();
    const words = await written(page);
    await protect(page);
    await page.getByRole('button', { name: 'Lock' }).waitFor();
    return { page, words };
  };
  const subjectOn = async (page: Page) =>
    (await page.getByText(SUBJECT).first().textContent())?.match(SUBJECT)?.[0] ?? '';
  const imported = async (path = '', key = scene.ownerKey, options: Parameters<Scene['newPage']>[0] = {}) => {
    const page = await at(path, options);
    await page.getByRole('link', { name: 'Take over the owner' }).click();
    await page.getByLabel('Or paste the key').fill(key);
    await page.getByRole('button', { name: 'Import' }).click();
    await protect(page);
    return page;
  };

  describe('made here', () => {
    let page: Page;
    let words: string[];
    let subject: string;
    before(async () => {
      ({ page, words } = await made());
      subject = await subjectOn(page);
    });

    it('is somebody at this site', () => assert.match(subject, SUBJECT));

    it('has left nothing of its secret in what the browser keeps', async () => {
      const kept = (await page.evaluate(KEPT)) as string;
      assert.match(kept, /"kind":"passphrase"/);
      // Names of members may be words of the list: lock, kind, salt.
      const values = kept.replaceAll(/"[\w-]+":/g, '');
      for (const word of words) assert.ok(!values.includes(`"${word}"`), word);
    });

    it('locks at once when it is told to', async () => {
      await page.getByRole('button', { name: 'Lock' }).click();
      await page.getByRole('heading', { name: 'Unlock your wallet' }).waitFor();
      assert.equal(await page.getByText(SUBJECT).count(), 0);
    });

    it('does not open by another passphrase', async () => {
      await unlock(page, 'eight quiet herons at dusk');
      await page.getByRole('alert').getByText('This is not its passphrase.').waitFor();
    });

    it('opens by its own, and is the same', async () => {
      await unlock(page);
      await page.getByRole('button', { name: 'Lock' }).waitFor();
      assert.equal(await subjectOn(page), subject);
    });

    it('is locked after the page was loaded again', async () => {
      await page.reload();
      await page.getByRole('heading', { name: 'Unlock your wallet' }).waitFor();
    });

    /** The wallet, unlocked on a page whose time stands still but for what runs it. */
    const unlockedWithClock = async () => {
      const other = await page.context().newPage();
      await other.clock.install();
      await other.goto(`${scene.origin}/wallet`);
      await other.getByLabel('Passphrase').fill(PASSPHRASE);
      await other.getByRole('button', { name: 'Unlock', exact: true }).click();
      // The key is made in turns of its timers.
      const lock = other.getByRole('button', { name: 'Lock' });
      while ((await lock.count()) === 0) await other.clock.runFor(100);
      return { other, lock };
    };

    it('locks itself after 15 minutes without a sign of life', async () => {
      const { other, lock } = await unlockedWithClock();
      await other.clock.runFor(14 * 60_000);
      assert.equal(await lock.count(), 1);
      await other.clock.runFor(2 * 60_000);
      await other.getByRole('heading', { name: 'Unlock your wallet' }).waitFor();
      await other.close();
    });

    it('is locked for whoever wakes a machine that slept, which stops timers', async () => {
      const { other } = await unlockedWithClock();
      await other.clock.setSystemTime(Date.now() + 8 * 3_600_000);
      await other.keyboard.press('Shift');
      await other.clock.runFor(100);
      await other.getByRole('heading', { name: 'Unlock your wallet' }).waitFor();
      await other.close();
    });

    it('locks with another tab', async () => {
      const other = await page.context().newPage();
      await other.goto(`${scene.origin}/wallet`);
      await unlock(other);
      await unlock(page);
      await page.getByRole('button', { name: 'Lock' }).waitFor();
      await other.getByRole('button', { name: 'Lock' }).click();
      await page.getByRole('heading', { name: 'Unlock your wallet' }).waitFor();
      await other.close();
    });

    it('shows its words again only to who opens it again', async () => {
      await unlock(page);
      await page.getByRole('button', { name: 'Show the words' }).click();
      assert.equal(await page.getByLabel('The words of this wallet').count(), 0);
      await unlock(page, PASSPHRASE, 'Show words');
      const shown = page.getByLabel('The words of this wallet').locator('code');
      await shown.first().waitFor();
      assert.deepEqual(await shown.allTextContents(), words);
      await page.getByRole('button', { name: 'Close' }).click();
    });

    it('is the same in another browser, by its words', async () => {
      const fresh = await at();
      await fresh.getByRole('link', { name: 'Restore by words' }).click();
      await fresh.getByLabel('The 24 words').fill(words.with(3, 'lemma').join(' '));
      await fresh.getByRole('button', { name: 'Restore' }).click();
      await fresh.getByText('Word 4, “lemma”, is not of the list.').waitFor();
      await fresh.getByLabel('The 24 words').fill(words.join('  '));
      await fresh.getByRole('button', { name: 'Restore' }).click();
      await protect(fresh);
      await fresh.getByRole('button', { name: 'Lock' }).waitFor();
      assert.equal(await subjectOn(fresh), subject);
    });

    it('is told that nobody knows it here, with what an operator needs to add it', async () => {
      await page.getByRole('button', { name: 'Sign in to Agent Ops' }).click();
      await page.getByText('does not know your wallet yet').waitFor();
      await page.getByText(`lemma operators add ${subject} --key `).first().waitFor();
    });

    it('signs in once it was made an operator, to the page that was wanted', async () => {
      const key = (
        await page
          .getByText(/--key [\w-]{43}/)
          .first()
          .textContent()
      )?.match(/--key ([\w-]{43})/)?.[1];
      const { status } = await scene.service.control('/api/wallet/operators', {
        ...{ name: 'wallet', subject, keys: [key], role: 'operator' },
      });
      assert.equal(status, 200);
      await page.goto(`${scene.origin}/admin/agent-ops/runtimes`);
      await page.getByRole('link', { name: 'Sign in with your wallet' }).click();
      await unlock(page, PASSPHRASE, 'Unlock and sign in');
      await page.getByRole('navigation', { name: 'Agent Ops' }).waitFor();
      assert.equal(new URL(page.url()).pathname, '/admin/agent-ops/runtimes');
    });

    it('is gone from the browser after a word was typed, and not before', async () => {
      await page.goto(`${scene.origin}/wallet`);
      await page.getByRole('button', { name: "Wipe this browser's wallet" }).click();
      const act = page.getByRole('button', { name: 'Wipe it' });
      assert.equal(await act.isDisabled(), true);
      await page.getByLabel('Type “wipe” to go on').fill('wipe');
      await act.click();
      await page.getByRole('link', { name: 'Make a wallet' }).waitFor();
      await page.reload();
      await page.getByRole('link', { name: 'Make a wallet' }).waitFor();
    });
  });

  describe('of the owner, from the key file', () => {
    let page: Page;
    before(async () => {
      page = await imported();
      await page.getByRole('button', { name: 'Lock' }).waitFor();
    });

    it('signs in as the owner', async () => {
      await page.getByRole('button', { name: 'Sign in to Agent Ops' }).click();
      await page.getByRole('navigation', { name: 'Agent Ops' }).waitFor();
      await page.getByText('owner', { exact: true }).first().waitFor();
    });

    it('approves a command line, which then acts with what was granted', async () => {
      const home = emptyFolder();
      const child = spawn(
        process.execPath,
        [MAIN, 'session', 'start', '--json', '--no-browser', '--api-base', scene.service.controlBase],
        { cwd: home.path, env: environmentIn(home.path), stdio: ['ignore', 'pipe', 'pipe'] },
      );
      const exited = once(child, 'exit') as Promise<[number | null]>;
      const out = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      let address = '';
      for await (const line of createInterface({ input: child.stderr })) {
        address = /^\s*(https?:\S+user_code=\S+)/.exec(line)?.[1] ?? address;
        if (address !== '' && /compare the code/.test(line)) break;
      }
      await page.goto(address.replace('127.0.0.1', 'localhost'));
      await page.getByText(new URL(address).searchParams.get('user_code') ?? 'no code').waitFor();
      await page.getByText('owner of local / default').waitFor();
      await page.getByLabel('runtimes.stop').uncheck();
      await page.getByLabel('For how long').selectOption('1');
      await assertAccessible(page);
      await page.getByRole('button', { name: 'Approve' }).click();
      await page.getByText('The command line goes on by itself').waitFor();
      const { data } = JSON.parse((await out.next()).value ?? '{}');
      const [code] = await exited;
      assert.equal(code, 0);
      assert.equal(data.operator, 'owner');
      assert.ok(data.permissions.includes('runtimes.read'));
      assert.ok(!data.permissions.includes('runtimes.stop'));
      assert.ok(Date.parse(data.expires_at) - Date.now() <= 3_600_000);
      home.remove();
    });

    it('says no to a command line', async () => {
      const given = await fetch(`${scene.origin}/api/auth/device/code`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ client_id: '<img src=x onerror=alert(1)>', scope: 'runtimes.read' }),
      });
      const { user_code, device_code } = (await given.json()) as Record<string, string>;
      await page.goto(`${scene.origin}/wallet/device`);
      await page.getByLabel('The code that the command line shows').fill(String(user_code).toLowerCase());
      await page.getByRole('button', { name: 'Look it up' }).click();
      await page.getByText('<img src=x onerror=alert(1)>').waitFor();
      await page.getByRole('button', { name: 'Deny' }).click();
      await page.getByText('Denied.').waitFor();
      const polled = await fetch(`${scene.origin}/api/auth/device/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
          client_id: '<img src=x onerror=alert(1)>',
          device_code,
        }),
      });
      assert.equal(((await polled.json()) as { error: string }).error, 'access_denied');
    });

    it('says of a code that is none that there is none', async () => {
      await page.goto(`${scene.origin}/wallet/device?user_code=BBBB-BBBB`);
      await page.getByRole('alert').waitFor();
      await page.getByRole('button', { name: 'Another code' }).waitFor();
    });

    it('lists what it delegated, and takes it back: the next request is denied', async () => {
      const agent = await scene.service.onboard('bot-of-the-owner');
      assert.equal((await scene.service.grpc(agent.reading())).verdict, 'allow');
      await page.goto(`${scene.origin}/wallet/delegations`);
      await unlock(page);
      const row = page.getByRole('row', { name: /bot-of-the-owner/ });
      await row.getByRole('button', { name: 'Revoke' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
      await row.getByText('revoked').waitFor();
      assert.equal((await scene.service.grpc(agent.reading())).verdict, 'revoked');
    });
  });

  describe('whose key at a site is replaced', () => {
    let page: Page;
    let words: string[];
    let subject: string;
    before(async () => {
      ({ page, words } = await made());
      const entry = await page.getByRole('region', { name: /operator entry/ }).innerText();
      const [, found = '', key = ''] = /add (\S+) --key (\S+)/.exec(entry) ?? [];
      subject = found;
      const { status } = await scene.service.control('/api/wallet/operators', {
        ...{ name: 'changing', subject, keys: [key], role: 'operator' },
      });
      assert.equal(status, 200);
      await page.getByRole('navigation', { name: 'Wallet' }).getByRole('link', { name: 'Keys' }).click();
      await page.getByRole('button', { name: 'Sign in with this wallet' }).click();
    });

    const rows = () => page.getByRole('region', { name: 'Keys', exact: true }).locator('tbody tr');
    const row = (number: number) => rows().filter({ hasText: `the wallet's number ${number}` });
    const replace = async (number: number, old: string) => {
      await page.getByLabel(/which is in use now/).selectOption(old);
      await page.getByRole('button', { name: `Use key number ${number}` }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Replace it' }).click();
      await row(number).getByText('in use', { exact: true }).waitFor();
    };
    const knownHere = async () => {
      const { body } = await scene.service.control('/api/wallet/operators');
      const operators = body.operators as { subject: string; keys: string[] }[];
      return operators.find((one) => one.subject === subject)?.keys ?? [];
    };

    it('is told before what happens to sessions and delegations', async () => {
      const list = page.getByRole('list', { name: 'What happens' });
      await list.getByText('No delegation that this site issued goes back to you.').waitFor();
      await list.getByText('Sessions that the old key opened end').waitFor();
      await page.getByLabel(/which is in use now/).selectOption('stays');
      await list.getByText('Whoever has the old key can still sign in as you').waitFor();
      await assertAccessible(page);
    });

    it('has the next one beside it, until the first is ended', async () => {
      await replace(1, 'stays');
      await row(0).getByText('signs in too').waitFor();
      assert.equal((await knownHere()).length, 2);
      await row(0).getByRole('button', { name: 'End' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'End it' }).click();
      await row(0).waitFor({ state: 'detached' });
      assert.equal((await knownHere()).length, 1);
    });

    it('is signed in by the next one where the old one ends at once', async () => {
      // The session was opened by the key that ended: a page that asks anything asks for a sign-in.
      await page.reload();
      await unlock(page);
      await page.getByRole('button', { name: 'Sign in with this wallet' }).click();
      const before = await knownHere();
      await page.getByLabel('Also revoke the old key').check();
      await replace(2, 'ends');
      assert.equal(await rows().count(), 1);
      const after = await knownHere();
      assert.deepEqual([after.length, after.includes(before[0] ?? '')], [1, false]);
      const { body } = await scene.service.control('/api/wallet/audit');
      const done = (body.entries as { what: string; outcome: string }[]).map(
        (one) => `${one.what} ${one.outcome}`,
      );
      assert.ok(done.includes('changeOwnKeys done'));
    });

    it('finds it in another browser, by its words alone', async () => {
      const fresh = await at();
      await fresh.getByRole('link', { name: 'Restore by words' }).click();
      await fresh.getByLabel('The 24 words').fill(words.join(' '));
      await fresh.getByRole('button', { name: 'Restore' }).click();
      await protect(fresh);
      await fresh.getByRole('button', { name: 'Sign in to Agent Ops' }).click();
      await fresh.getByRole('navigation', { name: 'Agent Ops' }).waitFor();
      await fresh.goto(`${scene.origin}/wallet/keys`);
      await unlock(fresh);
      const used = fresh.getByRole('row', { name: /the wallet's number 2/ });
      await used.getByText('in use', { exact: true }).waitFor();
      await fresh.context().close();
    });

    it("is not replaced where it is the deployment's own", async () => {
      const owner = await imported();
      await owner.getByRole('button', { name: 'Sign in to Agent Ops' }).click();
      await owner.getByRole('navigation', { name: 'Agent Ops' }).waitFor();
      await owner.goto(`${scene.origin}/wallet/keys`);
      await unlock(owner);
      await owner.getByText("This wallet is the deployment's owner").waitFor();
      assert.equal(await owner.getByRole('button', { name: /Use key number/ }).count(), 0);
      await owner.context().close();
    });
  });

  describe('and what it takes for a key', () => {
    it('derives what the published vectors have', async () => {
      const { ppid } = JSON.parse(readFileSync(VECTORS, 'utf8')) as {
        ppid: { root_secret: string; host: string; ppid: string }[];
      };
      const [first] = ppid;
      const secret = new Uint8Array(Buffer.from(first?.root_secret ?? '', 'hex'));
      const page = await imported('', toBase64url(secret));
      await page.getByRole('button', { name: 'Lock' }).waitFor();
      for (const { host, ppid: expected } of ppid.filter((one) => one.root_secret === first?.root_secret)) {
        if (host !== 'localhost') {
          await page.getByLabel('Who am I at').fill(host);
          await page.getByRole('button', { name: 'Show', exact: true }).click();
          await page.locator('summary', { hasText: host }).click();
        }
        await page.getByText(`did:lemma:${expected}`, { exact: true }).waitFor();
      }
    });

    it('refuses an API key, and the key of one site', async () => {
      const page = await at('/import');
      for (const [key, why] of [
        [scene.service.operatorKey, 'This is an API key'],
        ['{"subject":"x"}', 'This is the key of one site'],
        ['short', 'one line of 43'],
      ] as const) {
        await page.getByLabel('Or paste the key').fill(key);
        await page.getByRole('button', { name: 'Import' }).click();
        await page.getByRole('alert').getByText(why).waitFor();
      }
    });
  });

  describe('behind a passkey', () => {
    /** An authenticator of the browser's own, that somebody touches at once. */
    const authenticator = async (page: Page, hasPrf: boolean) => {
      const devtools = await page.context().newCDPSession(page);
      await devtools.send('WebAuthn.enable');
      await devtools.send('WebAuthn.addVirtualAuthenticator', {
        options: {
          protocol: 'ctap2',
          ctap2Version: 'ctap2_1',
          transport: 'internal',
          hasResidentKey: true,
          hasUserVerification: true,
          isUserVerified: true,
          automaticPresenceSimulation: true,
          hasPrf,
        },
      });
    };

    it('opens by it, and is the same', async () => {
      const page = await at();
      await authenticator(page, true);
      await written(page);
      await page.getByRole('button', { name: 'Protect by a passkey' }).click();
      await page.getByRole('button', { name: 'Lock' }).waitFor();
      const subject = await subjectOn(page);
      await page.getByRole('button', { name: 'Lock' }).click();
      await page.getByRole('button', { name: 'Unlock by passkey' }).click();
      await page.getByRole('button', { name: 'Lock' }).waitFor();
      assert.equal(await subjectOn(page), subject);
    });

    it('says so where the authenticator gives no key, and nothing is lost', async () => {
      const page = await at();
      await authenticator(page, false);
      await written(page);
      await page.getByRole('button', { name: 'Protect by a passkey' }).click();
      await page.getByRole('alert').getByText('lacks the PRF extension').waitFor();
      await protect(page);
      await page.getByRole('button', { name: 'Lock' }).waitFor();
    });
  });

  describe('to look at', () => {
    for (const [name, options] of [
      ['dark and wide', { colorScheme: 'dark' }],
      ['light, at 360 px', { colorScheme: 'light', viewport: { width: 360, height: 780 } }],
    ] as const) {
      it(`has no fault that axe finds and no scrolling sideways on any of its pages: ${name}`, async () => {
        const page = await at('', options);
        const check = async () => {
          await assertAccessible(page);
          const [wide = 0, shown = 0] = (await page.evaluate(WIDTHS)) as number[];
          assert.ok(wide <= shown, `${wide} px in ${shown} at ${page.url()}`);
        };
        await page.getByRole('link', { name: 'Make a wallet' }).waitFor();
        await check();
        for (const path of ['/restore', '/import', '/device']) {
          await page.goto(`${scene.origin}/wallet${path}`);
          await page.getByRole('heading', { level: 1 }).waitFor();
          await check();
        }
        await page.goto(`${scene.origin}/wallet`);
        await page.getByRole('link', { name: 'Make a wallet' }).click();
        await check();
        await page.goto(`${scene.origin}/wallet`);
        await written(page);
        await check();
        await protect(page);
        await page.getByRole('button', { name: 'Lock' }).waitFor();
        await check();
        await page.getByRole('button', { name: "Wipe this browser's wallet" }).click();
        await check();
        await page.keyboard.press('Escape');
        await page.getByRole('button', { name: 'Lock' }).click();
        await check();
      });
    }

    it('goes on by the keyboard alone', async () => {
      const page = await at();
      await page.getByRole('link', { name: 'Restore by words' }).focus();
      await page.keyboard.press('Enter');
      await page.getByLabel('The 24 words').focus();
      await page.keyboard.type(`${'abandon '.repeat(23)}art`);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Protect the wallet' }).waitFor();
    });
  });

  it('leads nowhere else when it has signed somebody in', async () => {
    const page = await imported(`/sign-in?${new URLSearchParams({ next: '//evil.example/' })}`);
    await page.waitForURL(`${scene.origin}/admin/agent-ops`);
  });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});
