import { deepEqual, equal } from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { keyNamed } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

const AUDIENCE = 'http://coder.tool.localhost';
const AGENT = { agent_id: 'coder', workspace_id: 'home' };

describe("hooks of an agent's own tools at the firewall", function () {
  this.timeout(60_000);
  let lemma: Running;
  let file: string;

  before(async () => {
    const clock = () => Math.floor(Date.now() / 1000);
    const firewall = { listen: '127.0.0.1:0' };
    lemma = await running({ clock, config: { runtimes: [], firewall } });
    file = join(lemma.folder, 'laptop.credential');
    const tools = [
      { name: 'exec', scope: ['tool.coder.exec'], risk: 'low' },
      { name: 'web_fetch', scope: ['tool.coder.web'], risk: 'low', taint_on_response: true },
    ];
    const others = { name: '*', scope: ['tool.coder.other'], risk: 'low' };
    const agents = [
      { id: 'coder', credential_file: file, tools: [...tools, others] },
      { id: 'strict', audience: AUDIENCE, tools },
    ];
    await lemma.reload({ runtimes: [], firewall: { ...firewall, agents } });
    for (const runtime_id of ['laptop', 'tainted', 'killed'])
      await lemma.control('/api/wallet/runtimes/bootstrap', { ...AGENT, runtime_id });
  });
  after(() => lemma.stop());
  afterEach(() => rmSync(file, { force: true }));

  async function credential(scope: readonly string[], runtime = 'laptop'): Promise<string> {
    const key = toBase64url(keyNamed(runtime).public);
    const asked = { runtime_id: runtime, key, scope, audience: [AUDIENCE] };
    const { body } = await lemma.control('/api/wallet/runtimes/issue-proof', asked);
    return toBase64url(new TextEncoder().encode(JSON.stringify(body.credential)));
  }

  /** As a hook asks. */
  async function ask(tool: string, shown: string | null, over: RequestInit = {}, agent = 'coder') {
    const url = `http://${lemma.app.addresses.firewall}/tool/${agent}/${tool}`;
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (shown !== null) headers['x-lemma-credential'] = shown;
    const body = JSON.stringify({ command: 'ls' });
    const answer = await fetch(url, {
      method: 'POST',
      body,
      ...over,
      headers: { ...headers, ...over.headers },
    });
    const said = (await answer.json()) as { error?: string; verdict?: string; decision_id: string };
    return { status: answer.status, said };
  }

  it('are given leave by a decision of its own action, the arguments as body', async () => {
    const { status, said } = await ask('exec', await credential(['tool.coder.exec']));
    const { records } = await lemma.records();
    const record = records.find(({ decision_id }) => decision_id === said.decision_id);
    deepEqual([status, said.verdict, record?.input?.route.action], [200, 'allow', 'tool.coder.exec']);
    deepEqual(record?.input?.request.body.json, { command: 'ls' });
  });

  it('are denied beyond the scope, with the decision', async () => {
    const { status, said } = await ask('exec', await credential(['tool.coder.web']));
    deepEqual([status, said.error, said.decision_id.slice(0, 4)], [403, 'scope_denied', 'dec_']);
  });

  it('ask about a tool that nobody named as about another one', async () => {
    const { said } = await ask('brand_new', await credential(['tool.coder.*']));
    const { records } = await lemma.records();
    const record = records.find(({ decision_id }) => decision_id === said.decision_id);
    deepEqual(
      [said.verdict, record?.input?.route.action, record?.input?.request.params],
      ['allow', 'tool.coder.other', { tool: 'brand_new' }],
    );
  });

  it('are denied a tool that nobody named where there is no *', async () => {
    const { said } = await ask('brand_new', await credential(['tool.coder.*']), {}, 'strict');
    equal(said.error, 'route_unknown');
  });

  for (const [name, tool] of [
    ['a path', 'a/b'],
    ['a parent', '..%2fexec'],
    ['a query', 'exec?x=1'],
    ['nothing', ''],
    ['*', '*'],
  ] as const)
    it(`are denied what is no name of a tool: ${name}`, async () => {
      const { said } = await ask(tool, await credential(['tool.coder.*']));
      equal(said.error, 'route_unknown');
    });

  it('are denied with an unknown agent', async () => {
    const { said } = await ask('exec', await credential(['tool.coder.*']), {}, 'nobody');
    equal(said.error, 'route_unknown');
  });

  it('are denied another method', async () => {
    const shown = await credential(['tool.coder.*']);
    const { said } = await ask('exec', shown, { method: 'GET', body: null });
    equal(said.error, 'method_not_allowed');
  });

  it('are denied without a credential, where none was put there for them', async () => {
    equal((await ask('exec', null)).said.error, 'auth_required');
  });

  it('act by the credential that lies there for them', async () => {
    writeFileSync(file, await credential(['tool.coder.exec']), { mode: 0o600 });
    deepEqual((await ask('exec', null)).said.verdict, 'allow');
  });

  it('never act by that credential beside one that they show', async () => {
    writeFileSync(file, await credential(['tool.coder.exec']), { mode: 0o600 });
    equal((await ask('exec', null, { headers: { authorization: 'Bearer lm_at_x' } })).status, 401);
  });

  it('are not served to a web page', async () => {
    writeFileSync(file, await credential(['tool.coder.exec']), { mode: 0o600 });
    const { said } = await ask('exec', null, { headers: { origin: 'https://evil.example' } });
    equal(said.error, 'header_ambiguous');
  });

  it('taint the runtime before they are given leave', async () => {
    const shown = await credential(['tool.coder.*'], 'tainted');
    equal((await ask('web_fetch', shown)).said.verdict, 'allow');
    equal((await ask('exec', shown)).said.error, 'taint_stale');
  });

  it('are denied from the moment of a kill', async () => {
    const shown = await credential(['tool.coder.*'], 'killed');
    equal((await ask('exec', shown)).said.verdict, 'allow');
    await lemma.control('/api/wallet/runtimes/killed/kill', {});
    equal((await ask('exec', shown)).said.error, 'runtime_killed');
  });
});
