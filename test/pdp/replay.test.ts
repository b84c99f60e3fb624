import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { bearing, chain, keys, NOW, proving } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';
import { type Serving, serving } from '../support/serving.ts';
import { databaseOf, folders, tally, times, writing } from './support.ts';

const AT_ONCE = 20;

describe('replay, through the real gRPC port', () => {
  const temporary = folders();
  let folder: string;
  let now: number;
  let service: Running;

  const start = async () => {
    now = NOW;
    folder = temporary.make();
    service = await running({ folder, clock: () => now });
  };
  const stop = async () => {
    await service.stop();
    temporary.remove();
  };
  before(start);
  after(stop);

  async function restart(): Promise<void> {
    await service.stop();
    service = await running({ folder, clock: () => now });
  }

  it('one nonce at once passes exactly once', async () => {
    const once = writing(chain());
    const all = await Promise.all(times(AT_ONCE, () => service.grpc(once)));
    assert.deepEqual(tally(all), { allow: 1, replay_detected: AT_ONCE - 1 });
  });

  it('one nonce at once over gRPC and the mirror passes exactly once', async () => {
    const once = proving(chain(), keys.runtime);
    const all = await Promise.all(times(AT_ONCE, (i) => service[i % 2 === 0 ? 'grpc' : 'rest'](once)));
    assert.deepEqual(tally(all), { allow: 1, replay_detected: AT_ONCE - 1 });
  });

  it('a nonce is as spent in a new chain of the same key', async () => {
    const nonce = 'n'.repeat(22);
    await service.grpc(proving(chain(), keys.runtime, { nonce }));
    const { verdict } = await service.grpc(proving(chain(), keys.runtime, { nonce }));
    assert.equal(verdict, 'replay_detected');
  });

  it('a nonce is spent by a request that the policy denies', async () => {
    const links = chain({ runtime: { claims: { taint_epoch: 1 } } });
    const once = writing(links);
    await service.grpc(once);
    assert.equal((await service.grpc(once)).verdict, 'replay_detected');
  });

  it('a nonce is not spent by a PoP whose signature does not hold', async () => {
    const nonce = 'm'.repeat(22);
    await service.grpc({ ...proving(chain(), keys.runtime, { nonce }), path: '/v1/documents/43' });
    assert.equal((await service.grpc(proving(chain(), keys.runtime, { nonce }))).verdict, 'allow');
  });

  it('stays found after a restart', async () => {
    const once = proving(chain(), keys.runtime);
    await service.grpc(once);
    await restart();
    assert.equal((await service.grpc(once)).verdict, 'replay_detected');
  });

  it('bearer requests have no nonce: the same one passes again', async () => {
    const same = bearing(chain());
    const all = await Promise.all(times(3, () => service.grpc(same)));
    assert.deepEqual(tally(all), { allow: 3 });
  });

  describe('where the store lost its memory', () => {
    beforeEach(async () => {
      await service.stop();
      now = NOW;
      for (const end of ['', '-wal', '-shm']) rmSync(`${databaseOf(folder)}${end}`, { force: true });
      service = await running({ folder, clock: () => now });
    });

    it('a PoP made up to 30 s after it cannot be checked', async () => {
      const { verdict } = await service.grpc(proving(chain(), keys.runtime, { created: NOW + 30 }));
      assert.equal(verdict, 'replay_check_unavailable');
    });

    it('a later PoP can', async () => {
      now = NOW + 31;
      const { verdict } = await service.grpc(proving(chain(), keys.runtime, { created: NOW + 31 }));
      assert.equal(verdict, 'allow');
    });

    it('a second restart does not bring it back', async () => {
      await restart();
      const { verdict } = await service.grpc(proving(chain(), keys.runtime));
      assert.equal(verdict, 'replay_check_unavailable');
    });

    it('bearer requests go on', async () => {
      assert.equal((await service.grpc(bearing(chain()))).verdict, 'allow');
    });
  });

  describe('where the clock moves', () => {
    const HOUR = 3600;
    const anHourLater = () =>
      proving(chain({ runtime: { expires_at: NOW + 2 * HOUR } }), keys.runtime, { created: NOW + HOUR });

    beforeEach(async () => {
      await stop();
      await start();
    });

    it('stays found to the last second that its PoP is good, 30 s ahead and all', async () => {
      const once = proving(chain(), keys.runtime, { created: NOW + 30 });
      await service.grpc(once);
      now = NOW + 90;
      await restart();
      assert.equal((await service.grpc(once)).verdict, 'replay_detected');
    });

    it('back: a PoP whose nonce was forgotten does not come to life', async () => {
      const once = proving(chain(), keys.runtime);
      await service.grpc(once);
      now = NOW + HOUR;
      await service.grpc(anHourLater());
      now = NOW;
      assert.equal((await service.grpc(once)).verdict, 'clock_untrusted');
    });

    it('back: nor after a restart', async () => {
      const once = proving(chain(), keys.runtime);
      await service.grpc(once);
      now = NOW + HOUR;
      await service.grpc(anHourLater());
      now = NOW;
      await restart();
      assert.equal((await service.grpc(once)).verdict, 'clock_untrusted');
    });

    it('back: nor after a restart before which somebody was denied by that clock', async () => {
      const once = proving(chain(), keys.runtime);
      await service.grpc(once);
      now = NOW + HOUR;
      await service.grpc(anHourLater());
      now = NOW;
      await service.grpc(bearing(chain()));
      await restart();
      assert.equal((await service.grpc(once)).verdict, 'clock_untrusted');
    });
  });
});

describe('replay, after kill -9', () => {
  const temporary = folders();
  let folder: string;
  let process_: Serving | undefined;

  beforeEach(() => {
    folder = temporary.make();
  });
  afterEach(async () => {
    await process_?.end('SIGKILL');
    temporary.remove();
  });

  it('a nonce that was answered stays spent', async () => {
    process_ = await serving(folder);
    const agent = await process_.onboard('bot-7');
    const once = agent.writing();
    assert.equal((await process_.grpc(once)).verdict, 'allow');
    await process_.end('SIGKILL');
    process_ = await serving(folder);
    assert.equal((await process_.grpc(once)).verdict, 'replay_detected');
  });
});
