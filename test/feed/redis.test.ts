import assert from 'node:assert/strict';
import { signEd25519 } from '#runtime';
import { parseFeedUrl } from '../../src/config/feed-url.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { encodeEvent, follow, type SignedEvent, signEvent, verifyEvent } from '../../src/feed/feed.ts';
import { createRedisFeed, type RedisFeed } from '../../src/feed/redis.ts';
import type { FeedServer } from '../../src/schema/config.ts';
import { type Key, keyNamed, NOW } from '../support/kit.ts';
import { needRedis, type RealRedis, startRedis, wireTo } from '../support/redis.ts';

const AUTHORITY = keyNamed('authority');
const KEYS = new Map([[AUTHORITY.id, AUTHORITY.public]]);

function kill(seq: number, by: Key = AUTHORITY): SignedEvent {
  const payload = { runtime_id: 'bot-1' };
  const event = {
    epoch: 1,
    seq,
    time: NOW * 1000,
    org: 'acme',
    env: 'prod',
    type: 'kill',
    runtime_id: 'bot-1',
  };
  const sign = (bytes: Uint8Array) => toBase64url(signEd25519(bytes, by.seed));
  return signEvent({ ...event, payload }, { keyid: AUTHORITY.id, sign });
}

describe('the feed over a real Redis', () => {
  let redis: RealRedis;
  const feeds: RedisFeed[] = [];

  before(async function () {
    redis = await startRedis(await needRedis(this));
  });
  after(() => redis?.stop());
  afterEach(() => Promise.all(feeds.splice(0).map((feed) => feed.close())));

  interface Node {
    readonly feed: RedisFeed;
    readonly heard: SignedEvent[];
    /** Resolves once this many events were heard, or gaps told, since the start. */
    hears(count: number): Promise<void>;
    listens(times: number): Promise<void>;
  }

  async function node(env = 'prod', port = redis.port): Promise<Node> {
    const server = parseFeedUrl(`redis://127.0.0.1:${port}`) as FeedServer;
    const feed = createRedisFeed({ server, org: 'acme', env });
    feeds.push(feed);
    const heard: SignedEvent[] = [];
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
    feed.subscribe((event) => {
      heard.push(event);
      look();
    });
    feed.onGap(() => {
      gaps += 1;
      look();
    });
    const made = {
      feed,
      heard,
      hears: (count: number) => until(() => heard.length >= count),
      listens: (times: number) => until(() => gaps >= times),
    };
    await made.listens(1);
    return made;
  }

  /** Until it is taken: the speaker may still be on its way. */
  const spoken = async ({ feed }: Node, event: SignedEvent) => {
    for (const end = performance.now() + 15_000; performance.now() < end; ) {
      const taken = await feed.publish(event).then(
        () => true,
        () => false,
      );
      if (taken) return;
      await new Promise((go) => setTimeout(go, 5));
    }
    assert.fail('never taken');
  };
  /** By somebody who has the password of Redis and no key of the authority. */
  const forge = (text: string) => redis.command(`PUBLISH lemma:events:acme/prod ${JSON.stringify(text)}`);

  it('reaches every node of the deployment, in order and as it was signed, and no other', async () => {
    const [a, b, other] = [await node(), await node(), await node('test')];
    await spoken(a, kill(1));
    await spoken(a, kill(2));
    await spoken(other, kill(9));
    await Promise.all([a.hears(2), b.hears(2), other.hears(1)]);
    const sent = [kill(1), kill(2)];
    assert.deepEqual([a.heard, b.heard, other.heard], [sent, sent, [kill(9)]]);
    for (const event of b.heard) verifyEvent(event, KEYS);
  });

  it('hands over nothing that is no event', async () => {
    const a = await node();
    const texts = [
      '',
      'x',
      '{}',
      '[]',
      encodeEvent(kill(1)).replace('"seq":1', '"seq":-1'),
      'x'.repeat(60_000),
    ];
    for (const text of texts) await forge(text);
    await forge(`${encodeEvent(kill(1)).slice(0, -1)},"more":true}`);
    await spoken(a, kill(2));
    await a.hears(1);
    assert.deepEqual([a.heard, a.feed.malformed], [[kill(2)], texts.length + 1]);
  });

  it('a forged event does not verify, nor an altered one', async () => {
    const a = await node();
    await forge(encodeEvent(kill(1, keyNamed('stranger'))));
    await forge(encodeEvent(kill(1)).replaceAll('bot-1', 'bot-2'));
    await a.hears(2);
    for (const event of a.heard) assert.throws(() => verifyEvent(event, KEYS), { code: 'signature_invalid' });
  });

  it('a replayed event is known by its place, and after a lost one there is a gap', async () => {
    const a = await node();
    await forge(encodeEvent(kill(3)));
    await forge(encodeEvent(kill(5)));
    await a.hears(2);
    const at = { epoch: 1, seq: 3 };
    assert.deepEqual(
      a.heard.map((event) => follow(at, event)),
      ['known', 'gap'],
    );
  });

  it('goes on where one who hears it fails over it', async () => {
    const a = await node();
    a.feed.subscribe(() => {
      throw new Error('no');
    });
    await spoken(a, kill(1));
    await spoken(a, kill(2));
    await a.hears(2);
    assert.equal(a.heard.length, 2);
  });

  it('is heard by nobody who has left', async () => {
    const [a, b] = [await node(), await node()];
    const left: SignedEvent[] = [];
    a.feed.subscribe((event) => left.push(event))();
    await spoken(b, kill(1));
    await a.hears(1);
    assert.deepEqual(left, []);
  });

  it('takes nothing while Redis is away; when it is back that is told, and it goes on', async () => {
    const [a, b] = [await node(), await node()];
    await spoken(a, kill(1));
    await redis.kill();
    await assert.rejects(a.feed.publish(kill(2)));
    await redis.start();
    await b.listens(2);
    await spoken(a, kill(3));
    await b.hears(2);
    assert.deepEqual(b.heard, [kill(1), kill(3)]);
  });

  it('goes on after a network that lost everything without a word', async function () {
    this.timeout(20_000);
    const wire = await wireTo(redis.port);
    try {
      const [a, b] = [await node(), await node('prod', wire.port)];
      const redialled = wire.redialled();
      wire.cut();
      await spoken(a, kill(1));
      await redialled;
      wire.mend();
      await b.listens(2);
      await spoken(a, kill(2));
      await b.hears(1);
      assert.deepEqual(b.heard, [kill(2)]);
    } finally {
      await wire.close();
    }
  });
});
