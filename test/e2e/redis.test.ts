import assert from 'node:assert/strict';
import type { Lemma } from '../../src/schema/lemma.ts';
import { anotherRun, folders, tally, times, withRun, writing } from '../pdp/support.ts';
import { bearing, chain, keys, link, NOW, proving } from '../support/kit.ts';
import { needRedis, type RealRedis, startRedis } from '../support/redis.ts';
import { type Running, running } from '../support/running.ts';

const N = 20;
const HOUR = 3600;
/** Of this many nonces each is presented to both nodes at once. */
const RACES = 200;

describe('two nodes with one Redis, through the real gRPC port', () => {
  const temporary = folders();
  let binary: string;
  let redis: RealRedis;
  let now: number;
  let a: Running;
  let b: Running;
  let nodes: readonly Running[];

  before(async function () {
    binary = await needRedis(this);
    redis = await startRedis(binary);
    await start();
  });
  after(async () => {
    await stop();
    await redis?.stop();
  });

  /** Both come up with Redis two hours ago: all that the tests make, it remembers. */
  async function start(feed_ms = 20_000): Promise<void> {
    await redis.command('FLUSHALL');
    now = NOW - 2 * HOUR;
    const limits = { concurrency: 10_000, queue: 10_000, queue_ms: 1_000, log_ms: 30_000, feed_ms };
    const node = (name: string) =>
      running({
        folder: temporary.make(),
        clock: () => now,
        config: { node: name, feed: redis.url, limits },
      });
    [a, b] = await Promise.all([node('node-a'), node('node-b')]);
    nodes = [a, b];
    now = NOW;
  }

  async function stop(): Promise<void> {
    await Promise.all([a?.stop(), b?.stop()]);
    temporary.remove();
  }

  const at = (i: number) => nodes[i % 2] as Running;
  /** PoP requests on a high route, all at once, at both. */
  const race = async (count: number, links: readonly Lemma[], key = keys.run) =>
    tally(await Promise.all(times(count, (i) => at(i).grpc(writing(links, key)))));
  /** Asks with ever new nonces, second by second, until the answer is another one. */
  const pastUnavailable = async (node: Running) => {
    for (const end = NOW + HOUR / 2; now < end; now += 1) {
      const { verdict } = await node.grpc(proving(chain(), keys.runtime, { created: now }));
      if (verdict !== 'replay_check_unavailable') return verdict;
    }
    return 'replay_check_unavailable';
  };

  it(`of ${RACES} nonces, each at both at once, each passes exactly once`, async () => {
    const links = chain();
    const pairs = await Promise.all(
      times(RACES, async () => {
        const once = proving(links, keys.runtime);
        const verdicts = await Promise.all(nodes.map((node) => node.grpc(once)));
        return verdicts.map(({ verdict }) => verdict).sort();
      }),
    );
    assert.deepEqual(
      pairs,
      times(RACES, () => ['allow', 'replay_detected']),
    );
  });

  it('a nonce that one denied by policy is spent at the other', async () => {
    const once = writing(chain({ runtime: { claims: { taint_epoch: 1 } } }));
    assert.equal((await a.grpc(once)).verdict, 'taint_ahead');
    assert.equal((await b.grpc(once)).verdict, 'replay_detected');
  });

  it('a budget of N lets exactly N of 4N raced requests pass', async () => {
    assert.deepEqual(await race(4 * N, withRun(N)), { allow: N, budget_exhausted: 3 * N });
  });

  it('a budget is one over ten races more', async () => {
    for (const n of [1, 2, 3, 5, 7, 11, 13, 17, 19, 23]) {
      assert.deepEqual(await race(4 * n, withRun(n)), { allow: n, budget_exhausted: 3 * n });
    }
  });

  it("a runtime's budget counts its runs, whichever node they ask", async () => {
    const above = chain({ runtime: { claims: { budget: { operations: N } } } });
    const runs = ['redis-a', 'redis-b'].map((name) => anotherRun(above, name));
    const all = times(4 * N, (i) => {
      const run = runs[i % 2];
      return at(i >> 1).grpc(run === undefined ? writing(above) : writing(run.links, run.key));
    });
    assert.deepEqual(tally(await Promise.all(all)), { allow: N, budget_exhausted: 3 * N });
  });

  it('a budget gets back what a denial took, at whichever node', async () => {
    const links = withRun(3);
    const denied = await Promise.all(times(6, (i) => at(i).grpc(bearing(links, { method: 'PUT' }))));
    assert.equal(
      denied.every(({ verdict }) => verdict === 'pop_required' || verdict === 'budget_exhausted'),
      true,
    );
    assert.deepEqual(await race(5, links), { allow: 3, budget_exhausted: 2 });
  });

  it('a run that has the id of its runtime gives back no more than it took', async () => {
    const above = chain({ runtime: { claims: { budget: { operations: 3 } } } });
    const id = above[2]?.id ?? '';
    const twin = withRunOf(above, id);
    await Promise.all(times(6, (i) => at(i).grpc(bearing(twin, { method: 'PUT' }))));
    assert.deepEqual(await race(6, twin), { allow: 3, budget_exhausted: 3 });
    assert.deepEqual(await race(6, twin), { budget_exhausted: 6 });
  });

  it('the policy and explain see what all nodes used', async () => {
    const links = withRun(7);
    await a.grpc(writing(links, keys.run));
    const { decisionId } = await b.grpc(writing(links, keys.run));
    assert.deepEqual((await b.explain(decisionId)).record.input?.budget, { limit: 7, used: 2 });
  });

  it('metrics tell of it', async () => {
    await a.grpc(proving(chain(), keys.runtime));
    const text = await (await fetch(`http://${a.app.addresses.control}/metrics`)).text();
    assert.match(text, /^lemma_shared_up 1$/m);
    assert.match(text, /^lemma_shared_round_trip_seconds_count [1-9]/m);
    assert.match(text, /^lemma_shared_asked_total [1-9]/m);
  });

  describe('where Redis lost its memory', () => {
    beforeEach(async () => {
      await stop();
      await start();
    });

    it('a replay at the other node cannot be checked, nor any PoP made until 30 s after', async () => {
      const once = proving(chain(), keys.runtime);
      assert.equal((await a.grpc(once)).verdict, 'allow');
      await redis.command('FLUSHALL');
      assert.equal((await b.grpc(once)).verdict, 'replay_check_unavailable');
      now = NOW + 30;
      const ahead = proving(chain(), keys.runtime, { created: NOW + 30 });
      assert.equal((await b.grpc(ahead)).verdict, 'replay_check_unavailable');
      now = NOW + 31;
      const later = proving(chain(), keys.runtime, { created: NOW + 31 });
      assert.equal((await b.grpc(later)).verdict, 'allow');
      assert.equal((await a.grpc(later)).verdict, 'replay_detected');
    });

    it('after a restart empty just so', async () => {
      const once = proving(chain(), keys.runtime);
      assert.equal((await a.grpc(once)).verdict, 'allow');
      await redis.kill();
      await redis.start();
      assert.equal((await b.grpc(once)).verdict, 'replay_check_unavailable');
      assert.equal(await pastUnavailable(b), 'allow');
    });

    it('a budget of before is exhausted, and explain says why; one made since counts from none', async () => {
      const links = withRun(N);
      await race(3, links);
      await redis.command('FLUSHALL');
      const { verdict, decisionId } = await b.grpc(bearing(links));
      assert.equal(verdict, 'budget_exhausted');
      const { failed, summary } = await b.explain(decisionId);
      assert.deepEqual(failed?.facts, { lemma_id: links.at(-1)?.id ?? '', known_from: NOW + 31 });
      assert.match(summary, /issue it anew/);
      const { body } = await b.control('/api/wallet/runtimes/alerts/summary');
      const alert = (body.alerts as { kind: string; facts: object }[]).find(
        ({ kind }) => kind === 'shared_memory_lost',
      );
      assert.deepEqual(alert?.facts, { known_from: NOW + 31 });
      now = NOW + 31;
      const anew = chain({ run: { issued_at: now, not_before: now, claims: { budget: { operations: 2 } } } });
      const all = await Promise.all(times(4, (i) => at(i).grpc(bearing(anew))));
      assert.deepEqual(tally(all), { allow: 2, budget_exhausted: 2 });
    });
  });

  describe('where Redis is away', () => {
    beforeEach(async () => {
      await stop();
      await start(100);
    });

    for (const [how, away, back] of [
      ['killed', () => redis.kill(), () => redis.start()],
      ['frozen', async () => redis.freeze(), async () => redis.thaw()],
    ] as const) {
      it(`${how}: what it must be asked about is denied, all else goes on, and it recovers by itself`, async () => {
        await away();
        try {
          for (const node of nodes) {
            const pop = await Promise.all(times(N, () => node.grpc(proving(chain(), keys.runtime))));
            assert.deepEqual(tally(pop), { replay_check_unavailable: N });
            assert.equal(pop[0]?.http, 503);
            assert.equal((await node.grpc(bearing(withRun(N)))).verdict, 'state_not_ready');
            assert.equal((await node.grpc(bearing(chain()))).verdict, 'allow');
          }
        } finally {
          await back();
        }
        for (const node of nodes) assert.equal(await pastUnavailable(node), 'allow');
      });
    }

    it('explain says that Redis is the reason', async () => {
      await redis.kill();
      const { decisionId } = await a.grpc(proving(chain(), keys.runtime, { created: now }));
      const { failed } = await a.explain(decisionId);
      await redis.start();
      assert.match(String(failed?.facts.why), /connection|ECONNREFUSED/);
      assert.equal(failed?.check, 'replay_check_unavailable');
    });

    it('a service starts without it, and says so', async () => {
      await redis.kill();
      const folder = temporary.make();
      const c = await running({ folder, clock: () => now, config: { feed: redis.url } });
      try {
        assert.equal((await c.grpc(bearing(chain()))).verdict, 'allow');
        assert.match(c.logged.join('\n'), /Redis is away/);
      } finally {
        await c.stop();
        await redis.start();
      }
    });
  });

  /** The same chain with a run below it whose id is another link's. */
  function withRunOf(above: readonly Lemma[], id: string): Lemma[] {
    const claims = { run_id: 'twin', budget: { operations: 1000 } };
    return [...above, link('run', above[2] as Lemma, keys.runtime, keys.run, { id, claims })];
  }
});
