import assert from 'node:assert/strict';
import { parseFeedUrl } from '../../src/config/feed-url.ts';
import type { Carrier } from '../../src/feed/carrier.ts';
import { createRedisCarrier } from '../../src/feed/redis-carrier.ts';
import type { FeedServer } from '../../src/schema/config.ts';
import { needRedis, type RealRedis, startRedis, wireTo } from '../support/redis.ts';

describe('what is carried between nodes by a real Redis', () => {
  let redis: RealRedis;
  const carriers: Carrier[] = [];

  before(async function () {
    redis = await startRedis(await needRedis(this));
  });
  after(() => redis?.stop());
  afterEach(() => Promise.all(carriers.splice(0).map((carrier) => carrier.close())));

  interface Node {
    readonly carrier: Carrier;
    readonly heard: string[];
    /** Resolves once this many texts were heard, or gaps told, since the start. */
    hears(count: number): Promise<void>;
    listens(times: number): Promise<void>;
  }

  async function node(env = 'prod', port = redis.port): Promise<Node> {
    const server = parseFeedUrl(`redis://127.0.0.1:${port}`) as FeedServer;
    const carrier = createRedisCarrier({ server, org: 'acme', env });
    carriers.push(carrier);
    const heard: string[] = [];
    let gaps = 0;
    const waiting = new Set<() => void>();
    const until = (done: () => boolean) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (!done()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      });
    const look = () => {
      for (const one of waiting) one();
    };
    carrier.subscribe((text) => {
      heard.push(text);
      look();
    });
    carrier.onGap(() => {
      gaps += 1;
      look();
    });
    const made = {
      carrier,
      heard,
      hears: (count: number) => until(() => heard.length >= count),
      listens: (times: number) => until(() => gaps >= times),
    };
    await made.listens(1);
    return made;
  }

  /** Until it is taken along: the speaker may still be on its way. */
  const spoken = async (carrier: Carrier, text: string) => {
    while (!(await carrier.publish(text))) await new Promise((go) => setTimeout(go, 5));
  };

  it('reaches every node of the deployment, in order, and no other', async () => {
    const [a, b, other] = [await node(), await node(), await node('test')];
    await spoken(a.carrier, 'one');
    await spoken(a.carrier, 'two');
    await spoken(other.carrier, 'theirs');
    await Promise.all([a.hears(2), b.hears(2), other.hears(1)]);
    assert.deepEqual([a.heard, b.heard, other.heard], [['one', 'two'], ['one', 'two'], ['theirs']]);
  });

  it('is not believed where it is far too long', async () => {
    const a = await node();
    await spoken(a.carrier, 'x'.repeat(100_000));
    await spoken(a.carrier, 'short');
    await a.hears(1);
    assert.deepEqual(a.heard, ['short']);
  });

  it('goes on where one who hears it fails over it', async () => {
    const a = await node();
    a.carrier.subscribe((text) => {
      throw new Error(text);
    });
    await spoken(a.carrier, 'one');
    await spoken(a.carrier, 'two');
    await a.hears(2);
    assert.deepEqual(a.heard, ['one', 'two']);
  });

  it('is heard of by nobody who has left', async () => {
    const [a, b] = [await node(), await node()];
    const left: string[] = [];
    a.carrier.subscribe((text) => left.push(text))();
    await spoken(b.carrier, 'one');
    await a.hears(1);
    assert.deepEqual(left, []);
  });

  it('is not taken along while Redis is away; when it is back that is told, and it goes on', async () => {
    const [a, b] = [await node(), await node()];
    await spoken(a.carrier, 'before');
    await redis.kill();
    assert.equal(await a.carrier.publish('lost'), false);
    await redis.start();
    await b.listens(2);
    await spoken(a.carrier, 'after');
    await b.hears(2);
    assert.deepEqual(b.heard, ['before', 'after']);
  });

  it('goes on after a network that lost everything without a word', async function () {
    this.timeout(20_000);
    const wire = await wireTo(redis.port);
    try {
      const [a, b] = [await node(), await node('prod', wire.port)];
      const redialled = wire.redialled();
      wire.cut();
      await spoken(a.carrier, 'lost');
      await redialled;
      wire.mend();
      await b.listens(2);
      await spoken(a.carrier, 'after');
      await b.hears(1);
      assert.deepEqual(b.heard, ['after']);
    } finally {
      await wire.close();
    }
  });
});
