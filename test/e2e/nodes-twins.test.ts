import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type NodeProcess, nodeProcess } from '../support/node-process.ts';
import { type Agent, authorityPin, type Serving, serving } from '../support/serving.ts';
import { eventually } from '../support/waiting.ts';

interface Answer {
  readonly enforced: boolean;
  readonly enforced_by?: string;
  readonly nodes: readonly { readonly node: string; readonly instance: string }[];
}

describe('two live processes with the name of one node', function () {
  this.timeout(120_000);
  let folder: string;
  let plane: Serving;
  let twins: NodeProcess[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-twins-'));
    plane = await serving(folder);
    const wishes = { control: plane.controlBase, token: plane.operatorKey, pin: await authorityPin(plane) };
    for (const place of ['first', 'second'])
      twins.push(await nodeProcess({ ...wishes, folder: join(folder, place), name: 'twin' }));
  });
  after(async () => {
    await Promise.all(twins.map((twin) => twin.end()));
    await plane?.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  });

  const kill = async (id: string) =>
    (await plane.control(`/api/wallet/runtimes/${id}/kill`, {})).body as unknown as Answer;
  const verdicts = (agent: Agent) =>
    Promise.all(twins.map(async (twin) => (await twin.ask(agent.reading())).verdict));
  const onboarded = async (id: string) => {
    const agent = await plane.onboard(id);
    await eventually(async () => (await verdicts(agent)).every((verdict) => verdict === 'allow'));
    return agent;
  };

  it('are two that a kill waits for', async () => {
    const agent = await onboarded('both');
    const { enforced, nodes } = await kill('both');
    assert.deepEqual(await verdicts(agent), ['runtime_killed', 'runtime_killed']);
    assert.deepEqual([enforced, nodes.map(({ node }) => node)], [true, ['twin', 'twin']]);
    assert.notEqual(nodes[0]?.instance, nodes[1]?.instance);
  });

  it('are named: in the list, as an alert, and in the metrics', async () => {
    const listed = async () => {
      const { body } = await plane.control('/api/wallet/nodes');
      return (body.nodes as { node: string; duplicate: boolean }[]).map((one) => [one.node, one.duplicate]);
    };
    await eventually(async () => (await listed()).every(([, duplicate]) => duplicate));
    assert.equal((await listed()).length, 2);
    const { body } = await plane.control('/api/wallet/runtimes/alerts/summary');
    const alerts = body.alerts as { kind: string; facts: { node: string } }[];
    assert.equal(alerts.find(({ kind }) => kind === 'duplicate_node')?.facts.node, 'twin');
    const metrics = await (await fetch(`${plane.controlBase}/metrics`)).text();
    assert.match(metrics, /^lemma_nodes_duplicate 2$/m);
  });

  it('have their records in two chains', async () => {
    const agent = await onboarded('logged');
    const ids = await Promise.all(twins.map(async (twin) => (await twin.ask(agent.writing())).decisionId));
    const chainsOf = async () => {
      const records = (await plane.exported()).map((line) => JSON.parse(line));
      return ids.map((id) => records.find(({ decision_id }) => decision_id === id)?.node);
    };
    await eventually(async () => (await chainsOf()).every((chain) => chain !== undefined));
    const [one, other] = await chainsOf();
    assert.equal(one, 'twin');
    assert.match(other, /^twin\.[0-9a-f]{12}$/);
  });

  it('leave a kill pending while one stands still, which allows nothing after `enforced_by`', async () => {
    const agent = await onboarded('frozen');
    const [stopped, other] = twins;
    assert.ok(stopped !== undefined && other !== undefined);
    stopped.signal('SIGSTOP');
    const { enforced, enforced_by = '', nodes } = await kill('frozen');
    assert.deepEqual([enforced, nodes.length], [false, 1]);
    assert.equal((await other.ask(agent.reading())).verdict, 'runtime_killed');
    const asked = [1, 2, 3].map(() => stopped.ask(agent.reading()));
    await sleep(Math.max(0, Date.parse(enforced_by) - Date.now()));
    stopped.signal('SIGCONT');
    const late = await Promise.all(asked);
    assert.ok(late.every(({ verdict }) => verdict !== 'allow'));
    assert.deepEqual(await verdicts(agent), ['runtime_killed', 'runtime_killed']);
  });

  it('leave the one that stays to be counted alone, at once when the other ends', async () => {
    const agent = await onboarded('left');
    const [first, second] = twins;
    assert.ok(first !== undefined && second !== undefined);
    await second.end();
    twins = [first];
    const { enforced, nodes } = await kill('left');
    assert.deepEqual([enforced, nodes.length, await verdicts(agent)], [true, 1, ['runtime_killed']]);
  });
});
