import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type NodeProcess, nodeProcess } from '../support/node-process.ts';
import { type Agent, authorityPin, type Serving, servedConfig, serving } from '../support/serving.ts';
import { eventually } from '../support/waiting.ts';

describe("runtimes of the control plane's configuration, at a node that runs", function () {
  this.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), 'lemma-configured-'));
  // A fixed port: a control plane that starts again is found where it was.
  const control = `127.0.0.1:${20_000 + ((process.pid + 7) % 20_000)}`;
  let plane: Serving;
  let node: NodeProcess;
  let subject: string;

  const write = (ids: readonly string[], agent_id = 'bot') => {
    const runtimes = ids.map((runtime_id) => ({
      ...{
        org: 'local',
        env: 'default',
        runtime_id,
        agent_id,
        workspace_id: 'prod',
        profile: 'low',
        subject,
      },
    }));
    const listen = { grpc: '127.0.0.1:0', decision: '127.0.0.1:0', control };
    writeFileSync(join(folder, 'lemma.yaml'), stringify({ ...servedConfig(), listen, runtimes }));
  };
  const reload = async (ids: readonly string[], agent_id?: string) => {
    const from = plane.notes.length;
    write(ids, agent_id);
    await plane.noted(/Configuration reloaded/, from);
  };
  const comesToBe = (agent: Agent, wanted: string) =>
    eventually(async () => (await node.ask(agent.reading())).verdict === wanted);

  before(async () => {
    write([]);
    plane = await serving(folder);
    const about = { runtime_id: 'first', agent_id: 'bot', workspace_id: 'prod' };
    const { body } = await plane.control('/api/wallet/runtimes/bootstrap', about);
    subject = (body.runtime as { subject: string }).subject;
    const wishes = { control: plane.controlBase, token: plane.operatorKey, pin: await authorityPin(plane) };
    node = await nodeProcess({ ...wishes, folder, name: 'edge' });
  });
  after(async () => {
    await node?.end();
    await plane?.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  });

  it('are known when the file is read again, and withdrawn and changed with it', async () => {
    await reload(['filed']);
    const agent = await plane.onboard('filed');
    await comesToBe(agent, 'allow');
    await reload(['filed'], 'another');
    await comesToBe(agent, 'runtime_unknown');
    await reload(['filed']);
    await comesToBe(agent, 'allow');
    await reload([]);
    await comesToBe(agent, 'runtime_inactive');
    await reload(['filed']);
    await comesToBe(agent, 'allow');
  });

  it('are so when the control plane starts again with another file', async () => {
    await reload(['stays', 'goes']);
    const [stays, goes] = [await plane.onboard('stays'), await plane.onboard('goes')];
    await comesToBe(stays, 'allow');
    await comesToBe(goes, 'allow');
    await plane.end('SIGKILL');
    write(['stays', 'comes']);
    plane = await serving(folder);
    const comes = await plane.onboard('comes');
    await comesToBe(comes, 'allow');
    await comesToBe(goes, 'runtime_inactive');
    assert.equal((await node.ask(stays.reading())).verdict, 'allow');
  });

  it('stay killed, whatever the file says', async () => {
    await reload(['dead']);
    const agent = await plane.onboard('dead');
    await comesToBe(agent, 'allow');
    await plane.control('/api/wallet/runtimes/dead/kill', {});
    await reload([]);
    await reload(['dead', 'witness']);
    await comesToBe(await plane.onboard('witness'), 'allow');
    assert.equal((await node.ask(agent.reading())).verdict, 'runtime_killed');
  });

  it('cost no event where nothing of them changed', async () => {
    const position = async () => {
      const { body } = await plane.control('/api/wallet/nodes');
      return (body.nodes as { seq: number }[])[0]?.seq;
    };
    const before = await position();
    await plane.end('SIGTERM');
    plane = await serving(folder);
    await eventually(async () => (await position()) !== null);
    assert.equal(await position(), before);
  });
});
