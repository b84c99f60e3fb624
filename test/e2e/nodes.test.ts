import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { type NodeProcess, nodeProcess } from '../support/node-process.ts';
import { type Agent, type Serving, servedConfig, serving } from '../support/serving.ts';

/** Kills under load, each asked about through every node. */
const KILLS = 200;
const NODES = ['n1', 'n2', 'n3'];

interface Answer {
  readonly enforced: boolean;
  readonly enforced_by?: string;
  readonly nodes: readonly { readonly node: string }[];
}

describe('decision nodes beside one control plane', function () {
  this.timeout(240_000);
  let folder: string;
  let plane: Serving;
  let nodes: NodeProcess[] = [];
  let early: Agent;

  const kill = async (id: string) => {
    const { status, body } = await plane.control(`/api/wallet/runtimes/${id}/kill`, {});
    assert.equal(status, 200, JSON.stringify(body));
    return body as unknown as Answer;
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-nodes-'));
    // A fixed port: a control plane that starts again is found where it was.
    const control = `127.0.0.1:${20_000 + (process.pid % 20_000)}`;
    writeFileSync(
      join(folder, 'lemma.yaml'),
      stringify({ ...servedConfig(), listen: { grpc: '127.0.0.1:0', decision: '127.0.0.1:0', control } }),
    );
    plane = await serving(folder);
    early = await plane.onboard('early');
    const { body } = await plane.control('/api/wallet/keys');
    const pin =
      (body.keys as { use: string; kid: string }[]).find(({ use }) => use === 'authority')?.kid ?? '';
    nodes = await Promise.all(
      NODES.map((name) =>
        nodeProcess({ folder, name, control: plane.controlBase, token: plane.operatorKey, pin }),
      ),
    );
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.end()));
    await plane.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  });

  it('allow from their start on, where nothing happened since', async () => {
    const verdicts = await Promise.all(nodes.map((node) => node.ask(early.reading())));
    assert.deepEqual(
      verdicts.map(({ verdict }) => verdict),
      ['allow', 'allow', 'allow'],
    );
  });

  it('decide like it, with the records in its log', async () => {
    const agent = await plane.onboard('first');
    const verdicts = await Promise.all(nodes.map((node) => untilKnown(node, agent)));
    assert.deepEqual(verdicts, ['allow', 'allow', 'allow']);
    for (const node of nodes) assert.equal((await node.ask(agent.writing())).verdict, 'allow');
    const shipped = await until(async () => {
      const lines = await plane.exported();
      return NODES.every((name) => lines.some((line) => line.includes(`"node":"${name}"`)));
    });
    assert.ok(shipped);
  });

  it('let nothing of a killed runtime through from the answer `enforced` on', async () => {
    let allowedAfter = 0;
    let allowedBefore = 0;
    for (let count = 0; count < KILLS; count += 1) {
      const id = `load-${count}`;
      const agent = await plane.onboard(id);
      await Promise.all(nodes.map((node) => untilKnown(node, agent)));
      const killed = { at: Number.POSITIVE_INFINITY };
      const load = nodes.map(async (node) => {
        for (let after = 0; after < 3; ) {
          const asked = performance.now();
          const { verdict } = await node.ask(agent.reading());
          if (asked > killed.at) {
            after += 1;
            if (verdict === 'allow') allowedAfter += 1;
            else assert.equal(verdict, 'runtime_killed');
          } else if (verdict === 'allow') allowedBefore += 1;
        }
      });
      const answer = await kill(id);
      killed.at = performance.now();
      assert.equal(answer.enforced, true, JSON.stringify([count, answer]));
      assert.deepEqual(answer.nodes.map(({ node }) => node).sort(), NODES);
      await Promise.all(load);
    }
    assert.equal(allowedAfter, 0);
    assert.ok(allowedBefore > 0, 'there was no load');
  });

  it('recover when it was killed, and no acknowledged kill is lost', async () => {
    const dead = await plane.onboard('dead');
    const alive = await plane.onboard('alive');
    await Promise.all(nodes.flatMap((node) => [untilKnown(node, dead), untilKnown(node, alive)]));
    assert.equal((await kill('dead')).enforced, true);
    const heard = nodes.map((node) => node.notes.length);
    await plane.end('SIGKILL');
    for (const node of nodes) assert.equal((await node.ask(alive.reading())).verdict, 'allow');
    await Promise.all(nodes.map((node, i) => node.noted(/control plane is lost/, heard[i])));
    plane = await serving(folder);
    await Promise.all(nodes.map((node, i) => node.noted(/the control plane answers/, heard[i])));
    for (const node of nodes) assert.equal((await node.ask(dead.reading())).verdict, 'runtime_killed');
    const next = await plane.onboard('next');
    for (const node of nodes) assert.equal(await untilKnown(node, next), 'allow');
  });

  it('answer pending with one of them stopped, which then allows nothing after `enforced_by`', async () => {
    const agent = await plane.onboard('partitioned');
    await Promise.all(nodes.map((node) => untilKnown(node, agent)));
    const [stopped, ...others] = nodes;
    assert.ok(stopped !== undefined);
    stopped.signal('SIGSTOP');
    const answer = await kill('partitioned');
    assert.equal(answer.enforced, false);
    for (const node of others) assert.equal((await node.ask(agent.reading())).verdict, 'runtime_killed');
    const asked = stopped.ask(agent.reading());
    await sleep(Math.max(0, Date.parse(answer.enforced_by ?? '') - Date.now()));
    stopped.signal('SIGCONT');
    assert.notEqual((await asked).verdict, 'allow');
    assert.equal((await stopped.ask(agent.reading())).verdict, 'runtime_killed');
  });

  it('deny high risk as stale with a control plane that stands still, and recover', async () => {
    const agent = await plane.onboard('frozen');
    await Promise.all(nodes.map((node) => untilKnown(node, agent)));
    const [node] = nodes;
    assert.ok(node !== undefined);
    plane.signal('SIGSTOP');
    let verdict = 'allow';
    try {
      await until(async () => {
        verdict = (await node.ask(agent.writing())).verdict;
        return verdict !== 'allow';
      });
    } finally {
      plane.signal('SIGCONT');
    }
    assert.equal(verdict, 'freshness_stale');
    assert.ok(await until(async () => (await node.ask(agent.writing())).verdict === 'allow'));
  });
});

/** A registration is on its way to the node for a moment. */
async function untilKnown(node: NodeProcess, agent: Agent): Promise<string> {
  let verdict = '';
  await until(async () => {
    verdict = (await node.ask(agent.reading())).verdict;
    return verdict !== 'runtime_unknown';
  });
  return verdict;
}

/** Asks again and again for 20 s at most. */
async function until(look: () => Promise<boolean>): Promise<boolean> {
  const end = performance.now() + 20_000;
  while (performance.now() < end) {
    if (await look()) return true;
    await sleep(20);
  }
  return false;
}
