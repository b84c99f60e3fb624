import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { parseFeedUrl } from '../../src/config/feed-url.ts';
import { createRedisLink } from '../../src/feed/redis-link.ts';
import { createRedisShared } from '../../src/feed/redis-shared.ts';
import type { FeedServer } from '../../src/schema/config.ts';
import { emptyFolder } from '../cli/lemma.ts';
import { needRedis, type RealRedis, startRedis } from '../support/redis.ts';
import { type Serving, servedConfig, serving } from '../support/serving.ts';

const HOUR = 3600;

interface Proof {
  readonly lemma_id: string;
  readonly issued_at: string;
  readonly budget: object | null;
}

/** Of a control plane whose nodes count budgets in Redis. */
describe('budgets that nodes share, as operators see them', () => {
  const folder = emptyFolder();
  let redis: RealRedis;
  let service: Serving;
  /** A node that has known Redis for two hours. */
  let link: ReturnType<typeof createRedisLink>;
  before(async function () {
    redis = await startRedis(await needRedis(this));
    link = createRedisLink({
      server: parseFeedUrl(redis.url) as FeedServer,
      clock: () => Date.now() - 2 * HOUR * 1000,
      waitMs: () => 10_000,
      onState: () => undefined,
    });
    await link.tried;
    writeFileSync(join(folder.path, 'lemma.yaml'), stringify({ ...servedConfig(), feed: redis.url }));
    service = await serving(folder.path);
  });
  after(async () => {
    await service?.end('SIGTERM');
    await link?.close();
    await redis?.stop();
    folder.remove();
  });

  const proof = async () => {
    const { body } = await service.control('/api/wallet/runtimes/bot');
    const [found] = body.proofs as Proof[];
    assert.ok(found !== undefined);
    return found;
  };

  it('have in them what other nodes let through', async () => {
    const agent = await service.onboard('bot', { operations: 5 });
    assert.equal((await service.grpc(agent.reading())).verdict, 'allow');
    const { lemma_id: lemmaId, issued_at } = await proof();
    const issued = Date.parse(issued_at) / 1000;
    const now = Math.floor(Date.now() / 1000);
    const lines = [{ lemmaId, issued, keepS: HOUR }];
    const taken = await createRedisShared(link).take({
      org: 'local',
      env: 'default',
      nonce: null,
      lines,
      now,
    });
    assert.equal(taken.kind, 'taken');
    assert.deepEqual((await proof()).budget, {
      operations: 5,
      used: 2,
      remaining: 3,
      counted_by: 'all_nodes',
    });
  });

  it('are not known once Redis lost its memory', async () => {
    await redis.command('FLUSHALL');
    assert.deepEqual((await proof()).budget, {
      operations: 5,
      used: null,
      remaining: null,
      counted_by: 'all_nodes',
    });
  });
});
