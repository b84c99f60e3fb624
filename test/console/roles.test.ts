import assert from 'node:assert/strict';
import type { Locator, Page, Route } from 'playwright-core';
import { permissionsOf } from '../../src/authority/roles.ts';
import { type Permission, ROLES, type Role } from '../../src/schema/access.ts';
import { OPERATIONS, type Operation, type OperationId } from '../../src/server/operations.ts';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';

interface Column {
  readonly role: Role;
  readonly platform: boolean;
}

const COLUMNS: readonly Column[] = ROLES.flatMap((role) => [
  { role, platform: false },
  { role, platform: true },
]);
const nameOf = ({ role, platform }: Column) => `${role}${platform ? ' of the platform' : ''}`;

/** What the console can ask for, read off the table that the server routes by. */
const KNOWN = Object.entries<Operation>(OPERATIONS).map(([id, operation]) => ({
  id: id as OperationId,
  operation,
  matches: new RegExp(`^${operation.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
}));

/** What is offered only to who sees what is there already. */
const SEEN_FIRST: Partial<Record<OperationId, OperationId>> = { setShadow: 'policyShadow' };

/** Pages that no page links to, each with something that can be done there. */
const RUNTIMES = ['active-1', 'contained-1', 'tainted-1', 'killed-1'];

/** Operations that a person asks for by a button somewhere on these pages. */
interface Found {
  readonly changing: Set<OperationId>;
  readonly refused: Set<string>;
}

describe('what a role sees in the console', function () {
  this.timeout(180_000);
  const folder = emptyFolder();
  let scene: Scene;
  let candidate: string;
  let decision: string;
  let signIns = 0;
  const found = new Map<string, Found>();

  before(async function () {
    scene = await consoleScene(this, folder.path);
    const { service } = scene;
    const post = async (path: string, body: object = {}) => {
      const answer = await service.control(`/api/wallet/${path}`, body);
      assert.equal(answer.status, 200, `${path}: ${JSON.stringify(answer.body)}`);
    };
    for (const id of RUNTIMES) await service.onboard(id);
    const agent = await service.onboard('decided-1');
    decision = (await service.grpc(agent.reading())).decisionId;
    await post('runtimes/contained-1/contain');
    await post('runtimes/tainted-1/taint', { reason: 'read a page of a stranger' });
    await post('runtimes/killed-1/kill');
    await post('api-keys', { name: "the owner's", permissions: ['decisions.read'] });
    candidate = (await scene.publishCandidate()).sha256;
    const { body } = await service.control('/api/wallet/policies/history');
    const other = (body.bundles as { sha256: string; active: boolean }[]).find((one) => one.active);
    await post('policies/shadow', { bundles: [other?.sha256] });
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  /** Whoever it is: an operator of that role, with a session beside the one that looks, and a key where he may have one. */
  async function signedIn(column: Column): Promise<Page> {
    const may = permissionsOf(column);
    signIns += 1;
    const name = `${nameOf(column)} ${signIns}`;
    const key = await scene.addOperator(name, column.role, { platform: column.platform });
    await scene.signedIn('/sessions', key);
    const page = await scene.signedIn('/sessions', key);
    if (may.has('api_keys.write')) {
      await page.goto(`${scene.origin}${BASE}/keys`);
      await page.getByRole('button', { name: 'New API key' }).click();
      await fill(page.getByRole('dialog'));
      await page.getByRole('dialog').getByLabel('Name').fill(`key of ${name}`);
      await page.getByRole('dialog').getByRole('button', { name: 'Make it' }).click();
      await page.getByRole('button', { name: 'I have copied it' }).click();
    }
    return page;
  }

  /** Goes to each page that it is offered, and presses each button there, to the end of its dialog. Nothing is changed. */
  async function look(column: Column): Promise<Found> {
    const may = permissionsOf(column);
    const page = await signedIn(column);
    const seen: Found = { changing: new Set(), refused: new Set() };
    const answer = async (route: Route) => {
      const request = route.request();
      const { pathname } = new URL(request.url());
      const known = KNOWN.find(
        ({ operation, matches }) => operation.method === request.method() && matches.test(pathname),
      );
      assert.ok(known !== undefined, `${request.method()} ${pathname} is in no table`);
      const { id, operation } = known;
      const { needs } = operation;
      if (needs !== null && needs !== 'signed_in' && !may.has(needs))
        seen.refused.add(`${new URL(page.url()).pathname}: ${id} needs ${needs}`);
      if (operation.method === 'GET') return route.continue();
      seen.changing.add(id);
      const body = { success: false, error: 'store_unavailable', message: 'not now', request_id: 'x' };
      return route.fulfill({ status: 503, json: body });
    };
    await page.route('**/api/**', answer);
    const links = page.getByRole('navigation', { name: 'Agent Ops' }).getByRole('link');
    const offered = await links.evaluateAll((all) => all.map((one) => one.getAttribute('href') ?? ''));
    const paths = offered.map((path) => path.slice(BASE.length));
    assert.ok(paths.length > 4, paths.join());
    const further = [...RUNTIMES.map((id) => `/runtimes/${id}`), `/decisions/${decision}`];
    for (const path of [...paths, ...further]) {
      await open(page, path);
      await pressAll(page);
    }
    // What the policies link to: a role to which it is not offered does not get there.
    await open(page, '/policies?profile=low');
    await page.getByRole('cell', { name: 'low-100' }).waitFor();
    await pressAll(page);
    await open(page, '/policies?profile=low');
    await page.getByRole('cell', { name: 'low-100' }).waitFor();
    if ((await page.getByRole('link', { name: 'Impact' }).count()) > 0) {
      await open(page, `/policies/impact?sha256=${candidate}`);
      await pressAll(page);
    }
    await page.context().close();
    return seen;
  }

  const open = async (page: Page, path: string) => {
    await page.goto(`${scene.origin}${BASE}${path}`);
    await page.locator('main h1').waitFor();
    await page.locator('main .skeleton').first().waitFor({ state: 'detached' });
  };

  /** Each button of another name once, and where a dialog opens what it is for. */
  async function pressAll(page: Page): Promise<void> {
    const buttons = page.locator('main button:visible:enabled');
    const pressed = new Set<string>();
    for (;;) {
      const shown = await buttons.evaluateAll((all) =>
        all.map((one) => ({ name: one.textContent ?? '', tab: one.getAttribute('role') === 'tab' })),
      );
      // What is on a tab before the next one.
      const left = shown.filter(({ name }) => !pressed.has(name));
      const chosen = left.find(({ tab }) => !tab) ?? left[0];
      if (chosen === undefined) return;
      pressed.add(chosen.name);
      const next = shown.indexOf(chosen);
      const before = page.url();
      await buttons.nth(next).click();
      const dialog = page.getByRole('dialog');
      if ((await dialog.count()) > 0) await submitAll(page, dialog);
      if (new URL(page.url()).pathname !== new URL(before).pathname) await page.goto(before);
      await page.evaluate('new Promise(requestAnimationFrame)');
      await page.locator('main .skeleton').first().waitFor({ state: 'detached' });
    }
  }

  async function submitAll(page: Page, dialog: Locator): Promise<void> {
    const doing = (await dialog.locator('.foot button').allInnerTexts()).filter(
      (name) => !/^(?:cancel|done)$/i.test(name.trim()),
    );
    for (const name of doing) {
      await fill(dialog);
      const button = dialog.getByRole('button', { name, exact: true });
      assert.ok(await button.isEnabled(), `${page.url()}: “${name}” cannot be pressed`);
      const asked = page.waitForRequest((request) => request.method() !== 'GET', { timeout: 10_000 });
      await button.click();
      await asked.catch(() => assert.fail(`${page.url()}: “${name}” asks for nothing`));
      await dialog.getByRole('alert').waitFor();
    }
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  }

  async function fill(dialog: Locator): Promise<void> {
    for (const field of await dialog.locator('input:visible, textarea:visible').all()) {
      const type = await field.getAttribute('type');
      if (type === 'checkbox') await field.check();
      else if (type === 'datetime-local') await field.fill('2031-05-01T12:00');
      else if (type !== 'number') await field.fill('something');
    }
  }

  for (const column of COLUMNS) {
    it(`${nameOf(column)}: nothing that would be refused`, async () => {
      const seen = await look(column);
      found.set(nameOf(column), seen);
      assert.deepEqual([...seen.refused], []);
    });
  }

  for (const column of COLUMNS) {
    it(`${nameOf(column)}: everything that the owner of the platform sees, and he may`, () => {
      const all = found.get('owner of the platform')?.changing ?? new Set();
      const may = permissionsOf(column);
      const allowed = (id: OperationId): boolean => {
        const { needs }: Operation = OPERATIONS[id];
        const first = SEEN_FIRST[id];
        if (first !== undefined && !allowed(first)) return false;
        return needs === null || needs === 'signed_in' || may.has(needs satisfies Permission);
      };
      // A vacuous look finds nothing: these are all that the console can change.
      assert.ok(all.size >= 17, [...all].join());
      assert.deepEqual(
        [...(found.get(nameOf(column))?.changing ?? [])].sort(),
        [...all].filter(allowed).sort(),
      );
    });
  }

  it('an auditor: nothing that changes anything but his own sessions', () => {
    assert.deepEqual([...(found.get('auditor')?.changing ?? [])], ['revokeSession']);
  });

  describe('of what is there, only what he may change:', () => {
    const verbsOf = (page: Page, row: string | RegExp) =>
      page.getByRole('row').filter({ hasText: row }).first().getByRole('button').allInnerTexts();

    it('an operator his own API keys', async () => {
      const page = await signedIn({ role: 'operator', platform: false });
      await open(page, '/keys');
      const own = await verbsOf(page, `key of operator ${signIns}`);
      assert.deepEqual([await verbsOf(page, "the owner's"), own], [[], ['Revoke']]);
    });

    it('an owner who is not of the platform nobody who may more than he', async () => {
      await scene.addOperator('boss-1', 'owner', { platform: true });
      await scene.addOperator('clerk-1', 'auditor');
      const page = await signedIn({ role: 'owner', platform: false });
      await open(page, '/operators');
      assert.deepEqual(
        [await verbsOf(page, 'boss-1'), await verbsOf(page, 'clerk-1')],
        [[], ['Change', 'Remove']],
      );
    });

    it('nobody the owner of the deployment', async () => {
      const page = await scene.signedIn('/operators');
      await open(page, '/operators');
      assert.deepEqual(await verbsOf(page, 'owner of the deployment'), []);
    });
  });
});
