import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BrowserContext, Page } from 'playwright-core';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { OPERATIONS, type Operation } from '../../src/server/operations.ts';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import { keyNamed, ORIGIN } from '../support/kit.ts';
import { NAUGHTY } from '../support/naughty.ts';

const COOKIE = '__Host-lemma-session';
const SESSION = '/api/wallet/session';
/** What changes something for who is signed in. */
const CHANGING = (Object.values(OPERATIONS) as Operation[]).filter(
  ({ method, on, needs, anyMethod }) =>
    method !== 'GET' && on.includes('control') && needs !== null && anyMethod !== true,
);
const pathsOf = (method: string) =>
  CHANGING.filter((one) => one.method === method).map(({ path }) => path.replaceAll(/\{\w+\}/g, 'bot-1'));
/** What anybody may ask, that gives a session. */
const SIGN_IN = ['/api/wallet/session/challenge', SESSION];

describe('attacks on who is at the console', function () {
  this.timeout(120_000);
  const folder = emptyFolder();
  let scene: Scene;
  let elsewhere: Server;
  let evil: readonly { readonly name: string; readonly origin: string }[];
  before(async function () {
    scene = await consoleScene(this, folder.path);
    await scene.service.onboard('bot-1');
    const page = '<!doctype html><meta charset="utf-8"><title>elsewhere</title><p>Win a prize</p>';
    elsewhere = createServer((_request, response) =>
      response.setHeader('content-type', 'text/html').end(page),
    );
    elsewhere.listen(0, '127.0.0.1');
    await once(elsewhere, 'listening');
    const { port } = elsewhere.address() as AddressInfo;
    evil = [
      { name: 'another site', origin: `http://127.0.0.1:${port}` },
      // Browsers send even a strict cookie from there: only the origin is another.
      { name: 'another port of this very host', origin: `http://localhost:${port}` },
    ];
  });
  after(async () => {
    elsewhere?.closeAllConnections();
    elsewhere?.close();
    await scene?.close();
    folder.remove();
  });

  /** All that an attacker might have changed. */
  const everything = async () => {
    const paths = ['runtimes', 'runtimes/bot-1', 'operators', 'api-keys', 'policies/history', 'keys'];
    const answers = await Promise.all(paths.map((path) => scene.service.control(`/api/wallet/${path}`)));
    for (const { status, body } of answers) assert.equal(status, 200, JSON.stringify(body));
    return answers.map(({ body }) => body);
  };
  const idOf = async (name: string) => {
    const { body } = await scene.service.control('/api/wallet/operators');
    return (body.operators as { id: string; name: string }[]).find((one) => one.name === name)?.id;
  };
  const sessions = async () => {
    const { body } = await scene.service.control('/api/wallet/sessions');
    return (body.sessions as { id: string }[]).map(({ id }) => id);
  };

  describe('CSRF', () => {
    for (const which of [0, 1]) {
      describe(which === 0 ? 'of another site' : 'of another port of this very host', () => {
        let context: BrowserContext;
        let page: Page;
        let mine: Page;
        let known: unknown;
        let open: string[];
        before(async () => {
          mine = await scene.signedIn('/runtimes');
          context = mine.context();
          page = await context.newPage();
          await page.goto(evil[which]?.origin ?? '');
          [known, open] = [await everything(), await sessions()];
        });
        afterEach(async () => {
          assert.deepEqual(await everything(), known);
          assert.deepEqual(await sessions(), open);
          // Whoever was signed in still is, as who he was.
          await mine.reload();
          await mine.getByRole('navigation', { name: 'Agent Ops' }).waitFor();
        });
        after(() => context?.close());

        it('by forms is refused by each operation that changes something', async () => {
          const statuses: [string, number][] = [];
          for (const path of [...pathsOf('POST'), ...SIGN_IN]) {
            const answered = page.waitForResponse((response) => new URL(response.url()).pathname === path);
            await page.evaluate(
              `(() => {
                const frame = document.createElement('iframe');
                frame.name = 'out';
                const form = document.createElement('form');
                Object.assign(form, { method: 'POST', target: 'out', enctype: 'text/plain' });
                form.action = ${JSON.stringify(scene.origin + path)};
                const field = document.createElement('input');
                Object.assign(field, { name: '{"reason":"x","a":"', value: '"}' });
                form.append(field);
                document.body.replaceChildren(frame, form);
                form.submit();
              })()`,
            );
            statuses.push([path, (await answered).status()]);
          }
          // From another site no cookie comes along; from another port it does, and is worth nothing.
          const wanted = (path: string) => (which === 1 || SIGN_IN.includes(path) ? 403 : 401);
          assert.deepEqual(
            statuses.filter(([path, status]) => status !== wanted(path)),
            [],
          );
          assert.ok(statuses.length > 20, String(statuses.length));
        });

        it('by fetch is refused, or never leaves the browser', async () => {
          const posts = pathsOf('POST').map((path) => ['POST', path]);
          const tried = [...posts, ...pathsOf('PUT').map((path) => ['PUT', path])];
          const made: [string, number][] = [];
          page.on('response', (response) => {
            if (response.request().method() !== 'OPTIONS')
              made.push([new URL(response.url()).pathname, response.status()]);
          });
          const readable = (await page.evaluate(
            `(async (origin, paths) => {
              const bodies = [];
              for (const [method, path] of paths)
                for (const mode of ['cors', 'no-cors']) {
                  const headers = mode === 'cors'
                    ? { 'content-type': 'application/json', 'x-csrf-token': 'x' }
                    : { 'content-type': 'text/plain' };
                  const init = { method, mode, credentials: 'include', headers, body: '{"reason":"x"}' };
                  // No-cors takes no PUT: it throws at once.
                  await Promise.resolve()
                    .then(() => fetch(origin + path, init))
                    .then((response) => response.text())
                    .then((text) => text === '' || bodies.push(path), () => undefined);
                }
              return bodies;
            })(${JSON.stringify(scene.origin)}, ${JSON.stringify(tried)})`,
          )) as string[];
          assert.deepEqual(readable, []);
          assert.deepEqual(
            made.filter(([, status]) => ![401, 403].includes(status)),
            [],
          );
          assert.ok(made.length >= posts.length, `${made.length} of ${posts.length}`);
        });

        it('by a flood uses up nothing of what signs in at the same address', async () => {
          const statuses = (await page.evaluate(
            `(async (urls) => {
              const ask = (url) => fetch(url, { method: 'POST', mode: 'no-cors', body: '{}' }).then(
                ({ type }) => type, () => 'never sent');
              return [...new Set(await Promise.all(urls.map(ask)))];
            })(${JSON.stringify(SIGN_IN.flatMap((path) => Array.from({ length: 60 }, () => scene.origin + path)))})`,
          )) as string[];
          assert.deepEqual(statuses, ['opaque']);
          const person = await scene.addOperator(`somebody ${which}`, 'auditor');
          const signedIn = await scene.signedIn('', person);
          await signedIn.getByRole('button', { name: 'Sign out' }).click();
          await signedIn.getByRole('heading', { name: 'Sign in to this control plane' }).waitFor();
          await scene.service.control(`/api/wallet/operators/${await idOf(`somebody ${which}`)}/remove`, {});
        });

        it('reads nothing of who is signed in', async () => {
          const read = await page.evaluate(
            `fetch(${JSON.stringify(`${scene.origin}${SESSION}`)}, { credentials: 'include' })
              .then((response) => response.text(), (error) => String(error))`,
          );
          assert.match(String(read), /TypeError/);
        });
      });
    }
  });

  describe('clickjacking', () => {
    let mine: Page;
    before(async () => {
      mine = await scene.signedIn();
    });

    for (const path of [BASE, `${BASE}/runtimes/bot-1`, '/wallet', '/wallet/device']) {
      it(`finds ${path} in no frame`, async () => {
        for (const { origin, name } of evil) {
          // Its refusal is logged as an error of the page around it: not of the console's own pages.
          const page = await mine.context().newPage();
          await page.goto(origin);
          await page.evaluate(
            `new Promise((resolve) => {
              const frame = document.createElement('iframe');
              frame.onload = resolve;
              frame.src = ${JSON.stringify(scene.origin + path)};
              document.body.append(frame);
            })`,
          );
          const [, frame] = page.frames();
          assert.equal(await frame?.locator('#app').count(), 0, name);
          assert.doesNotMatch(frame?.url() ?? '', new RegExp(`^${scene.origin}`), name);
        }
      });
    }
  });

  describe('session fixation', () => {
    const sessionOf = async (context: BrowserContext) =>
      (await context.cookies(scene.origin)).find(({ name }) => name === COOKIE)?.value;
    const plant = async (page: Page, value: string) =>
      page.context().addCookies([
        {
          name: COOKIE,
          value,
          url: scene.origin.replace('http:', 'https:'),
          secure: true,
          sameSite: 'Strict',
        },
      ]);
    const signInHere = async (page: Page) => {
      await page.getByLabel('Or paste the key').fill(scene.ownerKey);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('navigation', { name: 'Agent Ops' }).waitFor();
    };
    const whoIs = async (value: string) => {
      const answer = await fetch(`${scene.origin}${SESSION}`, { headers: { cookie: `${COOKIE}=${value}` } });
      const body = (await answer.json()) as { operator?: { id: string } };
      return body.operator?.id ?? answer.status;
    };

    it('by a cookie that somebody made up: the session after it is another, and his is none', async () => {
      const planted = `lm_se_${'A'.repeat(43)}`;
      const page = await scene.newPage();
      await plant(page, planted);
      await page.goto(`${scene.origin}${BASE}`);
      await signInHere(page);
      const own = await sessionOf(page.context());
      assert.ok(own !== undefined && own !== planted);
      assert.deepEqual([await whoIs(planted), await whoIs(own)], [401, 'owner']);
    });

    it("by the attacker's own live session: it never becomes the victim's", async () => {
      const attacker = await scene.signedIn('', await scene.addOperator('mallory', 'auditor'));
      const planted = (await sessionOf(attacker.context())) ?? '';
      assert.match(String(await whoIs(planted)), /^opr_/);
      const page = await scene.newPage();
      await plant(page, planted);
      // By the wallet: it signs in whoever it is, whatever the cookie says of before.
      await page.goto(`${scene.origin}/wallet/import`);
      await page.getByLabel('Or paste the key').fill(scene.ownerKey);
      await page.getByRole('button', { name: 'Import' }).click();
      await page.getByLabel('Passphrase', { exact: true }).fill('seven quiet herons');
      await page.getByLabel('Passphrase, again').fill('seven quiet herons');
      await page.getByRole('button', { name: 'Protect by the passphrase' }).click();
      await page.getByRole('button', { name: 'Sign in to Agent Ops' }).click();
      await page.getByRole('navigation', { name: 'Agent Ops' }).waitFor();
      const own = (await sessionOf(page.context())) ?? '';
      // Nor is it to be had by a script.
      assert.equal(await page.evaluate('document.cookie'), '');
      assert.notEqual(own, planted);
      assert.equal(await whoIs(own), 'owner');
      assert.notEqual(await whoIs(planted), 'owner');
    });
  });

  describe('stored XSS', () => {
    let page: Page;
    let decisions: string[];
    /** Where each of them stands now, as the API took it. */
    const taken = new Map<string, number>();
    before(async () => {
      const { service } = scene;
      const put = async (where: string, path: string, body: object) => {
        const { status } = await service.control(path, body);
        if (status === 200) taken.set(where, (taken.get(where) ?? 0) + 1);
        return status;
      };
      const agent = await service.onboard('naughty-1');
      decisions = [];
      for (const [n, text] of NAUGHTY.entries()) {
        // Ids have no room for markup: this is refused, and must be.
        const about = { runtime_id: `bot-${n}x`, agent_id: text, workspace_id: 'prod' };
        assert.equal(await put('agent id', '/api/wallet/runtimes/bootstrap', about), 400, text);
        await put('proof', '/api/wallet/runtimes/issue-proof', {
          ...{ runtime_id: 'naughty-1', key: toBase64url(keyNamed('naughty-1').public) },
          ...{ scope: ['documents.*'], audience: [ORIGIN], intent: text },
        });
        await put('taint', '/api/wallet/runtimes/naughty-1/taint', { reason: text });
        await service.onboard(`contained-${n}`);
        await put('contain', `/api/wallet/runtimes/contained-${n}/contain`, { reason: text });
        await put('resume', `/api/wallet/runtimes/contained-${n}/resume`, { reason: text });
        await put('kill', `/api/wallet/runtimes/contained-${n}/kill`, { reason: text });
        await put('api key', '/api/wallet/api-keys', { name: text, permissions: ['decisions.read'] });
        const one = agent.reading();
        const strange = [
          { ...one, path: `/v1/documents/${text}` },
          { ...one, path: `/v1/documents/1?q=${encodeURIComponent(text)}` },
          { ...one, headers: [...one.headers, ['user-agent', text]] as typeof one.headers },
          { ...one, headers: [['x-lemma-credential', text]] as typeof one.headers },
          { ...one, host: text },
        ];
        for (const request of strange) decisions.push((await service.grpc(request)).decisionId);
        if (n < 8) await scene.addOperator(text, 'auditor');
      }
      page = await scene.signedIn('', scene.ownerKey, { userAgent: NAUGHTY[0] ?? '' });
      await page.addInitScript(`
        globalThis.ran = () => document.documentElement.setAttribute('data-ran', '');
        globalThis.forbidden = [];
        addEventListener('securitypolicyviolation', (event) => forbidden.push(event.violatedDirective + ' ' + event.blockedURI));
      `);
      page.on('dialog', (dialog) => {
        scene.problems.push(`a dialog: ${dialog.message()}`);
        void dialog.dismiss();
      });
    });

    it('is tried in each field that takes words', () => {
      for (const where of ['proof', 'taint', 'contain', 'resume', 'kill', 'api key'])
        assert.equal(taken.get(where), NAUGHTY.length, where);
      assert.ok(decisions.every((id) => /^dec_/.test(id)));
    });

    const clean = async (path: string) => {
      await page.goto(`${scene.origin}${path}`);
      await page.locator('main h1').waitFor();
      await page.locator('main .skeleton').first().waitFor({ state: 'detached' });
      const found = await page.evaluate(`(() => {
        const all = [...document.querySelectorAll('main *')];
        return {
          ran: document.documentElement.hasAttribute('data-ran'),
          forbidden,
          handlers: all.flatMap((one) => one.getAttributeNames()).filter((name) => /^on/.test(name)),
          elements: all.map((one) => one.localName).filter((name) => /^(script|img|iframe|object|embed|style|math|base|meta|link)$/.test(name)),
          links: all.flatMap((one) => ['href', 'src', 'xlink:href', 'action', 'formaction'].map((name) => one.getAttribute(name) ?? ''))
            .filter((url) => /^\\s*(javascript|data|vbscript):/i.test(url)),
        };
      })()`);
      assert.deepEqual(found, { ran: false, forbidden: [], handlers: [], elements: [], links: [] }, path);
    };

    for (const [path, shown] of [
      ['', null],
      ['/decisions', null],
      ['/alerts', null],
      ['/runtimes', null],
      ['/runtimes/naughty-1', true],
      ['/runtimes/contained-0', true],
      ['/policies', null],
      ['/legacy', null],
      ['/operators', true],
      ['/keys', true],
      ['/sessions', true],
      ['/audit', null],
    ] as const) {
      it(`is text on ${BASE}${path}`, async () => {
        await clean(`${BASE}${path}`);
        if (shown !== null)
          await page
            .getByText(NAUGHTY[0] ?? '')
            .first()
            .waitFor();
      });
    }

    it('is text where a decision is explained', async () => {
      // Of each kind of request with each of four texts.
      for (const id of decisions.slice(0, 20)) await clean(`${BASE}/decisions/${id}`);
    });

    it('is text where somebody asks for it in the address', async () => {
      for (const text of NAUGHTY) {
        const query = new URLSearchParams({ runtime: text, reason: text, cursor: text, user_code: text });
        await clean(`${BASE}/${encodeURIComponent(text)}?${query}`);
        await clean(`${BASE}/runtimes/${encodeURIComponent(text)}`);
        await clean(`/wallet/device?${query}`);
      }
    });

    it('makes the pages do nothing that their policy forbids', () => {
      // A frame that was refused is an error of the page of elsewhere.
      assert.deepEqual(scene.problems, []);
    });
  });
});
