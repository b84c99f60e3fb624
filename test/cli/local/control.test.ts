import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { apiAt, type Laptop, laptop, upstream } from './laptop.ts';

describe('the control channel', () => {
  let computer: Laptop;
  let behind: Awaited<ReturnType<typeof upstream>>;
  before(async function () {
    this.timeout(120_000);
    computer = laptop();
    behind = await upstream();
    const page = { id: 'page', taint_on_response: true, scope: ['page.read'], action: 'page.read' };
    computer.configure({
      firewall: {
        apis: [
          apiAt(behind.origin),
          apiAt(behind.origin, page),
          apiAt(behind.origin, { id: 'send', risk: 'high', scope: ['send.use'], action: 'send.use' }),
        ],
      },
    });
    await computer.start();
    await computer.connect();
  });
  after(async () => {
    await computer.close();
    await behind.close();
  });

  const epochOf = async () => {
    const { body } = await computer.channel('GET', '/status');
    const [runtime] = body.runtimes as { taint_epoch: number }[];
    return runtime?.taint_epoch ?? -1;
  };

  it('says how the firewall stands', async () => {
    const { status, body } = await computer.channel('GET', '/status');
    const { pid, mode, connected } = body;
    const apis = body.apis as { id: string }[];
    const runtimes = body.runtimes as { runtime_id: string; status: string }[];
    assert.deepEqual(
      [status, pid, mode, connected, apis.map(({ id }) => id), runtimes.map((one) => one.status)],
      [200, computer.state().pid, 'embedded', null, ['notes', 'page', 'send'], ['active']],
    );
  });

  for (const [what, over, status] of [
    ['without the secret', { 'x-lemma-control-secret': undefined }, 401],
    ['with another secret', { 'x-lemma-control-secret': 'A'.repeat(43) }, 401],
    ['with a foreign Host', { host: '127.0.0.1:8787' }, 403],
    ['with an Origin', { origin: 'http://lemma-control' }, 403],
    ['of a web page', { 'sec-fetch-site': 'none' }, 403],
  ] as const) {
    it(`refuses a request ${what}`, async () => {
      const answer = await computer.channel('POST', '/runtimes/bot-1/approve', over, { taint_epoch: 0 });
      assert.equal(answer.status, status);
    });
  }

  it('knows no other operation', async () => {
    assert.equal((await computer.channel('GET', '/keys')).status, 404);
  });

  it('refuses a body that is no JSON', async () => {
    const answer = await computer.channel('POST', '/runtimes/bot-1/taint', {}, 'x' as never);
    assert.equal(answer.status, 400);
  });

  for (const path of ['/status', '/stop', '/reload', '/runtimes/bot-1/approve', '/decisions']) {
    it(`is not on the port of agents: ${path}`, async () => {
      const secret = readFileSync(join(computer.home, 'control.secret'), 'utf8').trim();
      const headers = { 'x-lemma-control-secret': secret };
      const { status, body } = await computer.ask(path, { method: 'POST', headers });
      assert.deepEqual([status, body.error], [403, 'route_unknown']);
    });
  }

  it('gives the decisions since a place', async () => {
    const decisionOf = async (path: string, after: number) => {
      for (;;) {
        const { body } = await computer.channel('GET', `/decisions?after=${after}`);
        const decisions = body.decisions as (Record<string, unknown> & { position: number })[];
        const found = decisions.find((one) => one.path === path);
        if (found !== undefined) return { found, all: decisions };
      }
    };
    await computer.ask('/firewall/notes/one', { plain: true });
    const { found: one } = await decisionOf('/one', 0);
    await computer.ask('/firewall/notes/two');
    const { found: two, all } = await decisionOf('/two', one.position);
    assert.deepEqual(
      [one.verdict, one.reason, two.verdict, all.some(({ path }) => path === '/one')],
      ['deny', 'auth_required', 'allow', false],
    );
  });

  it('shows what tainted a runtime, and approves it at the epoch that was shown', async () => {
    const before = await epochOf();
    await computer.ask('/firewall/page/x');
    const shown = await computer.channel('GET', '/runtimes/bot-1');
    const taints = shown.body.tainted_by as { reason: string; taint_epoch: number }[];
    const epoch = await epochOf();
    const approved = await computer.channel('POST', '/runtimes/bot-1/approve', {}, { taint_epoch: epoch });
    assert.deepEqual([epoch, taints.at(-1)?.taint_epoch, approved.status], [before + 1, epoch, 200]);
    assert.match(taints.at(-1)?.reason ?? '', /^answer of page /);
  });

  it('approves nothing at an epoch that has moved', async () => {
    const epoch = await epochOf();
    await computer.channel('POST', '/runtimes/bot-1/taint', {}, { reason: 'a look at the web' });
    const { status, body } = await computer.channel(
      'POST',
      '/runtimes/bot-1/approve',
      {},
      { taint_epoch: epoch },
    );
    assert.deepEqual([status, body.error], [409, 'moved']);
  });
});

describe('lemma approve on a laptop', () => {
  it("puts the new proof in the old one's place, and the agent goes on", async () => {
    const computer = laptop();
    const behind = await upstream();
    try {
      computer.configure({ firewall: { apis: [apiAt(behind.origin)] } });
      await computer.start();
      await computer.connect();
      const fileBefore = readFileSync(join(computer.home, 'bot-1.proof.json'), 'utf8');
      await computer.run(['taint', 'bot-1', '--reason', 'read something']);
      const shown = await computer.json(['approve', 'bot-1']);
      const epoch = String(shown.data.runtime.taint_epoch);
      const approved = await computer.json(['approve', 'bot-1', '--epoch', epoch]);
      const { claims } = JSON.parse(readFileSync(join(computer.home, 'bot-1.proof.json'), 'utf8'));
      const { status } = await computer.ask('/firewall/notes/x');
      assert.equal(JSON.parse(fileBefore).claims.taint_epoch, 0);
      assert.deepEqual([approved.code, claims.taint_epoch, status], [0, Number(epoch), 200]);
    } finally {
      await computer.close();
      await behind.close();
    }
  });
});
