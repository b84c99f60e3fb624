import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import { type NodeProcess, nodeProcess } from '../support/node-process.ts';
import { type Agent, authorityPin } from '../support/serving.ts';
import { eventually } from '../support/waiting.ts';

/** Each step goes on with the nodes as the one before left them: three, then one that stands still, then one that is gone. */
describe('a kill in the console, with three decision nodes', function () {
  this.timeout(120_000);
  this.bail(true);
  const folder = emptyFolder();
  let scene: Scene;
  let page: Page;
  let nodes: NodeProcess[] = [];
  before(async function () {
    scene = await consoleScene(this, folder.path);
    const { service } = scene;
    const wishes = { folder: folder.path, control: service.controlBase, token: service.operatorKey };
    const pin = await authorityPin(service);
    nodes = await Promise.all(['n1', 'n2', 'n3'].map((name) => nodeProcess({ ...wishes, name, pin })));
    page = await scene.signedIn();
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.end()));
    await scene?.close();
    folder.remove();
  });

  const dialog = () => page.getByRole('dialog');
  const onNode = (name: string) =>
    dialog()
      .getByRole('list', { name: 'Nodes' })
      .getByRole('listitem')
      .filter({ hasText: new RegExp(`^\\s*${name}`) });
  const overview = async () => {
    await page.goto(`${scene.origin}${BASE}`);
    return page.locator('section.card', { hasText: 'Decision nodes' }).getByRole('listitem');
  };
  const nodeNamed = (name: string): NodeProcess => {
    const found = nodes.find((node) => node.name === name);
    assert.ok(found !== undefined);
    return found;
  };
  const verdictAt = async (name: string, agent: Agent) =>
    (await nodeNamed(name).ask(agent.reading())).verdict;

  /** A runtime that these nodes let through, killed in a browser whose clock is an hour ahead: only the control plane's counts. */
  async function kill(id: string, alive: readonly string[]): Promise<Agent> {
    const agent = await scene.service.onboard(id);
    for (const name of alive) await eventually(async () => (await verdictAt(name, agent)) === 'allow');
    await page.goto(`${scene.origin}${BASE}/runtimes/${id}`);
    await page.evaluate('(() => { const now = Date.now; Date.now = () => now() + 3_600_000; })()');
    await page.getByRole('button', { name: 'Kill', exact: true }).click();
    await dialog().getByRole('button', { name: 'Kill it now' }).click();
    await onNode('this control plane').getByText('at once').waitFor();
    return agent;
  }
  const enforced = () => dialog().getByText('Nothing of it passes any node.').waitFor();

  it('begins with each node fresh, by the policies that are in force', async () => {
    const { body } = await scene.service.control('/api/wallet/policies/history');
    const active = (body.bundles as { revision: string; active: boolean }[]).filter((one) => one.active);
    const rows = await overview();
    for (const name of ['n1', 'n2', 'n3']) {
      const row = rows.filter({ hasText: name });
      await row.getByText(/^fresh, .* ago$/).waitFor();
      for (const { revision } of active) await row.getByText(revision).waitFor();
    }
    assert.equal(await page.getByText('not yet').count(), 0);
  });

  it('shows the lag of each until it is enforced', async () => {
    const agent = await kill('killed-1', ['n1', 'n2', 'n3']);
    await enforced();
    for (const name of ['n1', 'n2', 'n3']) {
      await onNode(name)
        .getByText(/^\d+(\.\d+)? ms$/)
        .waitFor();
      assert.equal(await verdictAt(name, agent), 'runtime_killed');
    }
  });

  it('is pending, and says until when, while one node stands still; enforced once that one goes on', async () => {
    nodeNamed('n2').signal('SIGSTOP');
    const agent = await kill('killed-2', ['n1', 'n3']);
    await dialog().getByRole('heading', { name: 'Killed: 1 of 3 nodes pending' }).waitFor();
    await onNode('n2')
      .getByText(/^pending, \d+(\.\d)? s at most$/)
      .waitFor();
    await onNode('n1')
      .getByText(/^\d+(\.\d+)? ms$/)
      .waitFor();
    const by = await dialog().getByRole('status').locator('time').getAttribute('datetime');
    const left = Date.parse(by ?? '') - Date.now();
    assert.ok(left > 0 && left <= 31_000, `enforced by ${by}, in ${left} ms`);
    assert.equal(await page.getByText('Nothing of it passes any node.').count(), 0);
    assert.deepEqual(
      [await verdictAt('n1', agent), await verdictAt('n3', agent)],
      ['runtime_killed', 'runtime_killed'],
    );
    nodeNamed('n2').signal('SIGCONT');
    await enforced();
    await onNode('n2')
      .getByText(/^confirmed after /)
      .waitFor();
    assert.equal(await verdictAt('n2', agent), 'runtime_killed');
  });

  it('is told so to an operator who may not see nodes, too', async () => {
    const key = await scene.addOperator('plain', 'operator');
    const own = await scene.signedIn('/runtimes', key);
    await scene.service.onboard('killed-by-operator');
    nodeNamed('n2').signal('SIGSTOP');
    try {
      await own.goto(`${scene.origin}${BASE}/runtimes/killed-by-operator`);
      await own.getByRole('button', { name: 'Kill', exact: true }).click();
      await own.getByRole('button', { name: 'Kill it now' }).click();
      await own.getByRole('heading', { name: 'Killed: 1 of 3 nodes pending' }).waitFor();
      const row = own.getByRole('dialog').getByRole('listitem').filter({ hasText: 'n2' });
      await row.getByText(/^pending, \d+(\.\d)? s at most$/).waitFor();
    } finally {
      nodeNamed('n2').signal('SIGCONT');
    }
  });

  it('is enforced without a node that stands still or is gone, when their leases end', async () => {
    nodeNamed('n2').signal('SIGSTOP');
    await nodeNamed('n3').end('SIGKILL');
    await kill('killed-3', ['n1']);
    await dialog().getByRole('heading', { name: 'Killed: 2 of 3 nodes pending' }).waitFor();
    await dialog().getByText('Nothing of it passes any node.').waitFor({ timeout: 60_000 });
    for (const name of ['n2', 'n3'])
      await onNode(name).getByText('allows nothing: its lease ended').waitFor();
  });

  it('leaves both on the overview as what they are, and as alerts that lead to decisions', async () => {
    const rows = await overview();
    for (const name of ['n2', 'n3'])
      await rows
        .filter({ hasText: name })
        .getByText(/^last heard .* ago: it denies$/)
        .waitFor();
    await rows
      .filter({ hasText: 'n1' })
      .getByText(/^fresh, /)
      .waitFor();
    await page.goto(`${scene.origin}${BASE}/alerts`);
    const alert = page.locator('li.alert', { hasText: 'node n3 was last heard of' });
    await alert.getByRole('heading', { name: 'stale node' }).waitFor();
    await alert.getByRole('link', { name: 'Show its decisions' }).click();
    const { searchParams } = new URL(page.url());
    assert.deepEqual([searchParams.get('reason'), searchParams.get('verdict')], ['freshness_stale', 'deny']);
  });

  it('waits for none that was shut down, and shows none', async () => {
    nodeNamed('n2').signal('SIGCONT');
    await nodeNamed('n1').end('SIGTERM');
    const agent = await kill('killed-4', ['n2']);
    await enforced();
    assert.equal(await onNode('n1').count(), 0);
    assert.equal(await verdictAt('n2', agent), 'runtime_killed');
    const rows = await overview();
    await rows
      .filter({ hasText: 'n2' })
      .getByText(/^fresh, /)
      .waitFor();
    assert.equal(await rows.filter({ hasText: 'n1' }).count(), 0);
  });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});
