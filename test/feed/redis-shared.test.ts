import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, getCACertificates, setDefaultCACertificates } from 'node:tls';
import fc from 'fast-check';
import { parseFeedUrl } from '../../src/config/feed-url.ts';
import { createRedisLink, type RedisLink } from '../../src/feed/redis-link.ts';
import { createRedisShared } from '../../src/feed/redis-shared.ts';
import type { Shared, SharedAsk, SharedLine } from '../../src/feed/shared.ts';
import type { FeedServer } from '../../src/schema/config.ts';
import { certificateAuthority, needOpenssl } from '../support/certificates.ts';
import { NOW } from '../support/kit.ts';
import { needRedis, type RealRedis, startRedis, wireTo } from '../support/redis.ts';

const HOUR = 3600;
const server = (url: string) => parseFeedUrl(url) as FeedServer;

describe('what nodes share through a real Redis', () => {
  let binary: string;
  let redis: RealRedis;
  /** Of the nodes that are started next, seconds. */
  let now: number;
  const links: RedisLink[] = [];

  before(async function () {
    binary = await needRedis(this);
    redis = await startRedis(binary);
  });
  after(() => redis?.stop());
  beforeEach(async () => {
    await redis.command('FLUSHALL');
    now = NOW - 2 * HOUR;
  });
  afterEach(() => Promise.all(links.splice(0).map((link) => link.close())));

  /** One that was there before anything that is asked about was made. */
  async function node(url = redis.url, waitMs = 10_000): Promise<Shared & { states: string[] }> {
    const states: string[] = [];
    const link = createRedisLink({
      server: server(url),
      clock: () => now * 1000,
      waitMs: () => waitMs,
      onState: (up, why) => void states.push(up ? 'up' : why),
    });
    links.push(link);
    await link.tried;
    now = NOW;
    return { ...createRedisShared(link), states };
  }

  const ask = (more: Partial<SharedAsk> = {}): SharedAsk => ({
    org: 'acme',
    env: 'prod',
    nonce: null,
    lines: [],
    now,
    ...more,
  });
  const nonce = (text: string, created = NOW) => ({ keyid: 'k', nonce: text, created, keepS: 90 });
  const line = (lemmaId: string, issued = NOW - 60): SharedLine => ({ lemmaId, issued, keepS: HOUR });
  const kindOf = async (shared: Shared, asked: SharedAsk) => (await shared.take(asked)).kind;
  const usedOf = async (shared: Shared, lines: SharedLine[]) => {
    const answer = await shared.take(ask({ lines }));
    return answer.kind === 'taken' ? answer.used : answer.kind;
  };
  /** Resolves when it is there; asks nothing meanwhile. */
  const there = async (shared: Shared) => {
    const end = performance.now() + 15_000;
    while (!shared.stats().up) {
      assert.ok(performance.now() < end, 'Redis did not come back');
      await new Promise((go) => setTimeout(go, 5));
    }
  };

  it('a nonce is spent once, whoever asks', async () => {
    const [a, b] = [await node(), await node()];
    const asked = ask({ nonce: nonce('n') });
    const kinds = await Promise.all([a, b, a, b].map((one) => kindOf(one, asked)));
    assert.deepEqual(kinds.sort(), ['replayed', 'replayed', 'replayed', 'taken']);
  });

  it('a nonce is of its org, env and key', async () => {
    const a = await node();
    const others = [
      ask({ nonce: nonce('n') }),
      ask({ nonce: nonce('n'), org: 'other' }),
      ask({ nonce: nonce('n'), env: 'test' }),
      ask({ nonce: { ...nonce('n'), keyid: 'other' } }),
    ];
    assert.deepEqual(await Promise.all(others.map((one) => kindOf(a, one))), Array(4).fill('taken'));
  });

  it('a nonce is kept for as long as is asked, and no longer', async () => {
    const a = await node();
    await a.take(ask({ nonce: nonce('n') }));
    const [, left] = /^:(\d+)/.exec(await redis.command('PTTL lemma:nonce:acme/prod:k:n')) ?? ['', ''];
    assert.ok(Number(left) > 80_000 && Number(left) <= 90_000, `${left} ms`);
  });

  it('takes of all lines or of none: a replay takes no operation', async () => {
    const a = await node();
    await a.take(ask({ nonce: nonce('n'), lines: [line('x'), line('y')] }));
    await a.take(ask({ nonce: nonce('n'), lines: [line('x'), line('y')] }));
    assert.deepEqual(await usedOf(a, [line('x'), line('y')]), [2, 2]);
  });

  it('takes of all lines or of none: a count that is not known spends no nonce', async () => {
    const a = await node();
    const lines = [line('x'), line('y', NOW - 3 * HOUR)];
    assert.equal(await kindOf(a, ask({ nonce: nonce('n'), lines })), 'uncounted');
    assert.equal(await kindOf(a, ask({ nonce: nonce('n'), lines: [line('x')] })), 'taken');
    assert.deepEqual(await usedOf(a, [line('x')]), [2]);
  });

  it('gives back once', async () => {
    const a = await node();
    const first = await a.take(ask({ lines: [line('x'), line('y')] }));
    await a.take(ask({ lines: [line('x')] }));
    assert.equal(first.kind, 'taken');
    if (first.kind === 'taken') first.giveBack();
    assert.deepEqual(await usedOf(a, [line('x'), line('y')]), [2, 1]);
  });

  it('gives back what was denied right before it is closed', async () => {
    const [a, b] = [await node(), await node()];
    const denied = await a.take(ask({ lines: [line('x')] }));
    if (denied.kind === 'taken') denied.giveBack();
    await a.close();
    assert.deepEqual(await usedOf(b, [line('x')]), [1]);
  });

  it('counts as one counter would, whatever is asked and given back at several nodes', async () => {
    const nodes = [await node(), await node()];
    let run = 0;
    const step = fc.record({ node: fc.nat(1), lemma: fc.nat(2), back: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        run += 1;
        const kept = [0, 0, 0];
        const id = (lemma: number) => `${run}-${lemma}`;
        await Promise.all(
          steps.map(async ({ node: at, lemma, back }) => {
            const answer = await nodes[at]?.take(ask({ lines: [line(id(lemma))] }));
            if (back && answer?.kind === 'taken') answer.giveBack();
            else kept[lemma] = (kept[lemma] ?? 0) + 1;
          }),
        );
        // Behind what both gave back: one connection keeps its order.
        await Promise.all(
          nodes.map((one) => one.take(ask({ nonce: nonce(`${run} ${nodes.indexOf(one)}`) }))),
        );
        const used = await usedOf(
          nodes[0] as Shared,
          [0, 1, 2].map((lemma) => line(id(lemma))),
        );
        assert.deepEqual(
          used,
          kept.map((count) => count + 1),
        );
      }),
      { numRuns: 50 },
    );
  });

  describe('counts without taking', () => {
    const counted = (shared: Shared, ...lines: SharedLine[]) =>
      shared.count({ org: 'acme', env: 'prod', now, lines });

    it('what all took, and none of what nobody took', async () => {
      const [a, b] = [await node(), await node()];
      await a.take(ask({ lines: [line('x')] }));
      await b.take(ask({ lines: [line('x'), line('y')] }));
      const asked = () => counted(a, line('x'), line('y'), line('z'));
      assert.deepEqual(
        [await asked(), await asked()],
        [
          [2, 1, 0],
          [2, 1, 0],
        ],
      );
    });

    it('not what was used in a memory that is gone', async () => {
      const a = await node();
      await a.take(ask({ lines: [line('x')] }));
      await redis.command('FLUSHALL');
      assert.deepEqual(await counted(a, line('x'), line('new', NOW + 60)), [null, 0]);
      assert.equal(await redis.command('EXISTS lemma:memory'), ':0');
    });

    it('nothing while Redis is away', async () => {
      const a = await node();
      await redis.kill();
      try {
        assert.equal(await counted(a, line('x')), null);
      } finally {
        await redis.start();
      }
    });
  });

  describe('where Redis lost its memory', () => {
    const restart = async () => {
      await redis.kill();
      await redis.start();
    };
    const ways: [name: string, keep: string | null, lose: () => Promise<unknown>][] = [
      ['FLUSHALL', null, () => redis.command('FLUSHALL')],
      ['a restart without a file', null, restart],
      ['a restart from an older file', 'SAVE', restart],
    ];
    for (const [way, keep, lose] of ways) {
      it(`${way}: the very next request is the first to know`, async () => {
        const [a, b] = [await node(), await node()];
        await a.take(ask({ lines: [line('x')] }));
        if (keep !== null) await redis.command(keep);
        await a.take(ask({ nonce: nonce('n'), lines: [line('x')] }));
        await lose();
        await Promise.all([there(a), there(b)]);
        assert.equal(await kindOf(b, ask({ nonce: nonce('n') })), 'forgotten');
        assert.equal(await kindOf(b, ask({ lines: [line('x')] })), 'uncounted');
        assert.equal(await kindOf(b, ask({ nonce: nonce('m', NOW + 30) })), 'forgotten');
        assert.equal(await kindOf(b, ask({ nonce: nonce('m', NOW + 31) })), 'taken');
        assert.deepEqual(await usedOf(b, [line('z', NOW + 31)]), [1]);
        const { forgotten, uncounted, knownFrom } = b.stats();
        assert.deepEqual([forgotten, uncounted, knownFrom], [2, 1, NOW + 31]);
      });
    }

    it('operations taken before are not given back to what is counted since', async () => {
      const a = await node();
      const before = await a.take(ask({ lines: [line('x', NOW + 31)] }));
      await redis.command('FLUSHALL');
      await a.take(ask({ lines: [line('x', NOW + 31)] }));
      if (before.kind === 'taken') before.giveBack();
      assert.deepEqual(await usedOf(a, [line('x', NOW + 31)]), [2]);
    });

    it('a connection that is made again to the same Redis lost nothing', async () => {
      const a = await node();
      await a.take(ask({ nonce: nonce('n') }));
      const b = await node();
      assert.equal(await kindOf(b, ask({ nonce: nonce('n') })), 'replayed');
      assert.equal(await kindOf(b, ask({ nonce: nonce('m') })), 'taken');
    });
  });

  describe('where Redis does not answer', () => {
    it('a killed one is known at once, and asked again once it is back', async () => {
      const a = await node();
      const asked = Promise.all([1, 2, 3].map((n) => kindOf(a, ask({ nonce: nonce(`${n}`) }))));
      await redis.kill();
      await asked;
      assert.deepEqual(await a.take(ask({ nonce: nonce('n') })).then(({ kind }) => kind), 'unavailable');
      await redis.start();
      await there(a);
      assert.equal(await kindOf(a, ask({ nonce: nonce('m', NOW + 31) })), 'taken');
    });

    it('a frozen one is waited for no longer than is said, and by nobody after that', async () => {
      const a = await node(redis.url, 50);
      redis.freeze();
      try {
        assert.equal(await kindOf(a, ask({ nonce: nonce('n') })), 'unavailable');
        assert.equal(a.stats().up, false);
      } finally {
        redis.thaw();
      }
      await there(a);
      assert.equal(await kindOf(a, ask({ nonce: nonce('m') })), 'taken');
    });

    it('what a frozen one takes when it wakes is given back', async () => {
      const [a, b] = [await node(redis.url, 50), await node()];
      redis.freeze();
      try {
        const all = await Promise.all([1, 2, 3].map(() => kindOf(a, ask({ lines: [line('x')] }))));
        assert.deepEqual(all, Array(3).fill('unavailable'));
      } finally {
        redis.thaw();
      }
      await there(a);
      await a.take(ask({ nonce: nonce('behind') }));
      assert.deepEqual(await usedOf(b, [line('x')]), [1]);
      assert.equal(a.stats().leaked, 0);
    });

    it('one behind a network that loses everything is given up, and found again', async function () {
      this.timeout(20_000);
      const wire = await wireTo(redis.port);
      try {
        const a = await node(`redis://127.0.0.1:${wire.port}`, 50);
        wire.cut();
        assert.equal(await kindOf(a, ask({ nonce: nonce('n') })), 'unavailable');
        wire.mend(); // what was lost stays lost: only a new connection brings an answer
        await there(a);
        assert.equal(await kindOf(a, ask({ nonce: nonce('m') })), 'taken');
      } finally {
        await wire.close();
      }
    });

    it('scripts that it forgot are brought again', async () => {
      const a = await node();
      await redis.command('SCRIPT FLUSH');
      assert.equal(await kindOf(a, ask({ nonce: nonce('n') })), 'unavailable');
      await there(a);
      assert.equal(await kindOf(a, ask({ nonce: nonce('m') })), 'taken');
    });
  });

  describe('a Redis that cannot be trusted with it', () => {
    it('is not asked while it may forget what it was told, and is once it may not', async () => {
      await redis.command('CONFIG SET maxmemory-policy allkeys-lru');
      const a = await node();
      try {
        assert.equal(await kindOf(a, ask({ nonce: nonce('n') })), 'unavailable');
        assert.match(a.states.join(), /maxmemory-policy noeviction/);
      } finally {
        await redis.command('CONFIG SET maxmemory-policy noeviction');
      }
      await there(a);
      assert.equal(await kindOf(a, ask({ nonce: nonce('n', NOW + 31) })), 'taken');
    });

    it('is unavailable where it is full', async () => {
      const a = await node();
      await redis.command('CONFIG SET maxmemory 1');
      try {
        const answer = await a.take(ask({ nonce: nonce('n') }));
        assert.equal(answer.kind, 'unavailable');
        assert.match(answer.kind === 'unavailable' ? answer.why : '', /OOM/);
      } finally {
        await redis.command('CONFIG SET maxmemory 0');
      }
    });

    it('is reached over TLS, under a certificate that is trusted', async function () {
      needOpenssl(this);
      const folder = mkdtempSync(join(tmpdir(), 'lemma-redis-tls-'));
      const ca = certificateAuthority(folder);
      const { cert, key } = ca.issue('redis', { names: ['IP:127.0.0.1'] });
      const relay = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (near) => {
        const far = connect(redis.port, '127.0.0.1');
        near.on('error', () => far.destroy()).pipe(far);
        far.on('error', () => near.destroy()).pipe(near);
      }).listen(0, '127.0.0.1');
      await once(relay, 'listening');
      const url = `rediss://127.0.0.1:${(relay.address() as AddressInfo).port}`;
      const usual = getCACertificates('default');
      try {
        const stranger = await node(url);
        assert.equal(await kindOf(stranger, ask({ nonce: nonce('n') })), 'unavailable');
        assert.match(stranger.states.join(), /certificate/);
        setDefaultCACertificates([...usual, readFileSync(ca.cert, 'utf8')]);
        assert.equal(await kindOf(await node(url), ask({ nonce: nonce('n', NOW + 31) })), 'taken');
      } finally {
        setDefaultCACertificates(usual);
        await Promise.all(links.splice(0).map((link) => link.close()));
        relay.close();
        rmSync(folder, { recursive: true });
      }
    });

    it('with a password is asked by those who have it; others hear why, without the secret', async () => {
      const secret = 'pa:ss@w?rd';
      const guarded = await startRedis(binary, ['--requirepass', secret]);
      try {
        const url = (password: string) =>
          `redis://:${encodeURIComponent(password)}@127.0.0.1:${guarded.port}/3`;
        const [a, b] = [await node(url(secret)), await node(url('wrong:secret'))];
        assert.equal(await kindOf(a, ask({ nonce: nonce('n') })), 'taken');
        const refused = await b.take(ask({ nonce: nonce('m') }));
        assert.match(JSON.stringify([refused, b.states]), /WRONGPASS/);
        assert.doesNotMatch(JSON.stringify([refused, b.states]), /secret/);
      } finally {
        await guarded.stop();
      }
    });
  });
});
