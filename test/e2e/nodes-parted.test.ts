import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { type NodeProcess, nodeProcess } from '../support/node-process.ts';
import { needPostgres, type Postgres, startPostgres } from '../support/postgres.ts';
import { needRedis, type RealRedis, startRedis, type Wire, wireTo } from '../support/redis.ts';
import { type Agent, type Serving, servedConfig, serving } from '../support/serving.ts';

interface Answer {
  readonly enforced: boolean;
  readonly durable: boolean;
  readonly enforced_by?: string;
}

/** A control plane on PostgreSQL and Redis, and two nodes: one straight to it, one over a wire that can be cut. */
describe('kills while parts of a deployment are gone', function () {
  this.timeout(120_000);
  let folder: string;
  let postgres: Postgres;
  let redis: RealRedis;
  let plane: Serving;
  let wire: Wire;
  let nodes: NodeProcess[] = [];

  before(async function () {
    const binary = await needRedis(this);
    await needPostgres(this);
    folder = mkdtempSync(join(tmpdir(), 'lemma-parted-'));
    postgres = await startPostgres({ durable: true });
    redis = await startRedis(binary);
    const shared = { feed: redis.url, store: await postgres.database(), node: 'control' };
    writeFileSync(join(folder, 'lemma.yaml'), stringify({ ...servedConfig(), ...shared }));
    plane = await serving(folder);
    const { body } = await plane.control('/api/wallet/keys');
    const keys = body.keys as { use: string; kid: string }[];
    const pin = keys.find(({ use }) => use === 'authority')?.kid ?? '';
    wire = await wireTo(Number(plane.controlBase.split(':').at(-1)));
    const own = { folder, token: plane.operatorKey, pin, feed: redis.url };
    nodes = [
      await nodeProcess({ ...own, name: 'near', control: plane.controlBase }),
      await nodeProcess({ ...own, name: 'far', control: `http://127.0.0.1:${wire.port}` }),
    ];
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.end()));
    await plane?.end('SIGKILL');
    await wire?.close();
    await redis?.stop();
    await postgres?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  const kill = async (id: string) => {
    const { body } = await plane.control(`/api/wallet/runtimes/${id}/kill`, {});
    return body as unknown as Answer;
  };
  const verdicts = (agent: Agent) =>
    Promise.all(nodes.map(async (node) => (await node.ask(agent.reading())).verdict));
  const eventually = async (agent: Agent, wanted: readonly string[]) => {
    for (const end = performance.now() + 30_000; performance.now() < end; await sleep(20))
      if ((await verdicts(agent)).join() === wanted.join()) return;
    assert.deepEqual(await verdicts(agent), wanted);
  };
  const onboarded = async (id: string) => {
    const agent = await plane.onboard(id);
    await eventually(agent, ['allow', 'allow']);
    return agent;
  };

  it('with Redis killed, a kill is enforced by the streams', async () => {
    const agent = await onboarded('no-redis');
    await redis.kill();
    const { enforced } = await kill('no-redis');
    assert.deepEqual([enforced, await verdicts(agent)], [true, ['runtime_killed', 'runtime_killed']]);
  });

  it('with Redis back and empty, too', async () => {
    const agent = await onboarded('empty-redis');
    await redis.start();
    const { enforced } = await kill('empty-redis');
    assert.deepEqual([enforced, await verdicts(agent)], [true, ['runtime_killed', 'runtime_killed']]);
  });

  it('with PostgreSQL gone, a kill holds here, no node is vouched for, and asked again it is enforced', async () => {
    const agent = await onboarded('no-postgres');
    await postgres.crash();
    const first = await kill('no-postgres');
    assert.deepEqual([first.durable, first.enforced], [false, false]);
    assert.equal((await plane.grpc(agent.reading())).verdict, 'runtime_killed');
    await postgres.start();
    let again = first;
    for (const end = performance.now() + 30_000; !again.durable && performance.now() < end; await sleep(100))
      again = await kill('no-postgres');
    assert.deepEqual([again.durable, again.enforced], [true, true]);
    assert.deepEqual(await verdicts(agent), ['runtime_killed', 'runtime_killed']);
  });

  it('with a node cut off, nothing passes it after `enforced_by`, and it recovers', async () => {
    const agent = await onboarded('cut-off');
    await redis.kill();
    wire.cut();
    const { enforced, enforced_by = '' } = await kill('cut-off');
    assert.equal(enforced, false);
    await sleep(Math.max(0, Date.parse(enforced_by) - Date.now()));
    assert.deepEqual(await verdicts(agent), ['runtime_killed', 'freshness_stale']);
    wire.mend();
    await redis.start();
    await eventually(agent, ['runtime_killed', 'runtime_killed']);
  });
});
