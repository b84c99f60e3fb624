import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { type Admission, createAdmission, mentionsPop } from '../../src/pdp/admission.ts';
import { decide } from '../../src/pdp/decide.ts';
import { explain } from '../../src/pdp/explain.ts';
import { createTracer } from '../../src/policy/tracer.ts';
import { toRequest } from '../../src/request/envoy.ts';
import type { Limits } from '../../src/schema/config.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import { memoryArchive } from '../policy/support.ts';
import { bearing, chain, type WireRequest } from '../support/kit.ts';
import { toCheckRequest } from '../support/running.ts';
import { type Composed, composed, folders, writing } from './support.ts';

const DEFAULTS: Limits = {
  concurrency: 512,
  queue: 256,
  queue_ms: 10,
  log_ms: 500,
  feed_ms: 100,
  per_source: null,
};

describe('admission', () => {
  const temporary = folders();
  let world: Composed;
  let admission: Admission;
  /** The disk, while it does not answer. */
  let stuck: PromiseWithResolvers<void> | null;

  beforeEach(async () => {
    stuck = null;
    world = await composed(temporary.make(), {
      commit: async (write) => {
        await stuck?.promise;
        return write();
      },
    });
  });
  afterEach(async () => {
    stuck?.resolve();
    admission.close();
    await world.close();
    temporary.remove();
  });

  function limited(over: Partial<Limits>): void {
    admission = createAdmission(
      world.pdp,
      (request) => decide(request, world.pdp),
      () => ({ ...DEFAULTS, ...over }),
    );
  }

  function asked(one: WireRequest, address = '', enforcementPoint?: string): AuthzRequest {
    const request = toRequest(toCheckRequest(one));
    const source = { address, principal: '' };
    return { ...request, source, ...(enforcementPoint === undefined ? {} : { enforcementPoint }) };
  }

  const reasonOf = async (...about: Parameters<typeof asked>) =>
    (await admission.decide(asked(...about))).reason;

  async function records(): Promise<DecisionRecord[]> {
    admission.close();
    await world.log.settled();
    const { lines } = await world.store.queryRecords({ org: 'acme', env: 'prod', order: 'desc', limit: 100 });
    return lines.map((line) => JSON.parse(line) as DecisionRecord);
  }

  describe('while the disk does not answer', () => {
    let waiting: Promise<unknown>;

    beforeEach(async () => {
      limited({ log_ms: 1 });
      stuck = Promise.withResolvers();
      waiting = admission.decide(asked(writing(chain())));
      while (world.log.delayMs() <= 1) await new Promise((resolve) => setTimeout(resolve, 1));
    });

    it('sheds what must be durable', async () => {
      assert.equal(await reasonOf(writing(chain())), 'overloaded');
    });

    it('answers what is recorded behind its answer', async () => {
      assert.equal(await reasonOf(bearing(chain())), 'allowed');
    });

    it('answers what is recorded behind its answer, however many wait for the disk', async () => {
      stuck?.resolve();
      await waiting;
      admission.close();
      limited({ concurrency: 2 });
      stuck = Promise.withResolvers();
      const others = Array.from({ length: 4 }, () => admission.decide(asked(writing(chain()))));
      assert.equal(await reasonOf(bearing(chain())), 'allowed');
      stuck.resolve();
      await Promise.all(others);
    });

    it('loses no record of what it took on', async () => {
      stuck?.resolve();
      const { decision_id } = (await waiting) as { decision_id: string };
      assert.ok((await records()).some((record) => record.decision_id === decision_id));
    });

    it('spends no nonce of what it shed', async () => {
      const once = writing(chain());
      await reasonOf(once);
      stuck?.resolve();
      stuck = null;
      await waiting;
      assert.equal(await reasonOf(once), 'allowed');
    });
  });

  describe('of both lanes', () => {
    let ends: PromiseWithResolvers<void>;
    let gone: boolean;

    /** In each lane one is under way and another waits. */
    beforeEach(() => {
      limited({ concurrency: 1 });
      ends = Promise.withResolvers();
      gone = false;
      for (const durable of [false, false, true, true]) {
        const caller = { remainingMs: null, durable, gone: () => gone };
        admission
          .inTurn(
            'grpc',
            caller,
            () => ends.promise,
            () => undefined,
          )
          .catch(() => undefined);
      }
    });
    afterEach(async () => {
      ends.resolve();
      while (admission.stats().running + admission.stats().queued > 0) await turn();
    });

    it('counts those under way', () => {
      assert.equal(admission.stats().running, 2);
    });

    it('counts those who wait', () => {
      assert.equal(admission.stats().queued, 2);
    });

    it('counts those who were gone when their turn came', async () => {
      gone = true;
      while (admission.stats().queued > 0) await turn();
      assert.equal(admission.stats().abandoned, 2);
    });
  });

  it('counts what it shed', async () => {
    limited({ per_source: { rate: 1, burst: 1 } });
    for (let i = 0; i < 3; i++) await reasonOf(bearing(chain()), '192.0.2.1');
    assert.equal(admission.stats().rate_limited, 2);
  });

  it('takes on what must be durable while the log is as late as it may be', async () => {
    const pdp = { ...world.pdp, log: { ...world.log, delayMs: () => 500 } };
    admission = createAdmission(
      pdp,
      (request) => decide(request, world.pdp),
      () => DEFAULTS,
    );
    assert.equal(await reasonOf(writing(chain())), 'allowed');
  });

  it('has fewer at once wait for a disk that takes long, and as many as ever that need not', async () => {
    const told: Parameters<Composed['log']['onCommit']>[0][] = [];
    const onCommit: Composed['log']['onCommit'] = (hears) => {
      told.push(hears);
      return () => undefined;
    };
    admission = createAdmission(
      { ...world.pdp, log: { ...world.log, onCommit } },
      (request) => decide(request, world.pdp),
      () => DEFAULTS,
    );
    for (let i = 0; i < 20; i++) for (const hears of told) hears({ tookMs: 1000, records: 100 });
    const ends = Promise.withResolvers<void>();
    const all = Array.from({ length: 40 }, (_, i) =>
      admission.inTurn(
        'grpc',
        { remainingMs: null, durable: i % 2 === 0 },
        () => ends.promise,
        () => undefined,
      ),
    );
    // Each turn of the loop begins one at least, however slow the machine is.
    for (let i = 0; i < 40; i++) await turn();
    const { running, queued } = admission.stats();
    ends.resolve();
    await Promise.all(all);
    assert.deepEqual([running, queued], [36, 4]);
  });

  it('hears of no commit once it is closed', () => {
    let hearing = 0;
    const onCommit: Composed['log']['onCommit'] = (told) => {
      const unhear = world.log.onCommit(told);
      hearing += 1;
      return () => {
        hearing -= 1;
        unhear();
      };
    };
    admission = createAdmission(
      { ...world.pdp, log: { ...world.log, onCommit } },
      (request) => decide(request, world.pdp),
      () => DEFAULTS,
    );
    admission.close();
    assert.equal(hearing, 0);
  });

  describe('with a limit for each source', () => {
    const good = bearing(chain());
    beforeEach(() => limited({ per_source: { rate: 1, burst: 2 } }));

    /** Asks as often as a source may. */
    async function exhaust(...from: [address?: string, enforcementPoint?: string]): Promise<void> {
      for (let i = 0; i < 2; i++) assert.equal(await reasonOf(good, ...from), 'allowed');
    }

    it('denies one that asks too often', async () => {
      await exhaust('192.0.2.1');
      assert.equal(await reasonOf(good, '192.0.2.1'), 'rate_limited');
    });

    it('denies no other source', async () => {
      await exhaust('192.0.2.1');
      assert.equal(await reasonOf(good, '192.0.2.2'), 'allowed');
    });

    it('denies no client of another enforcement point', async () => {
      await exhaust('192.0.2.1', 'spiffe://a/1');
      assert.equal(await reasonOf(good, '192.0.2.1', 'spiffe://a/2'), 'allowed');
    });

    it('takes an IPv6 network for one source, however its addresses are written', async () => {
      await exhaust('2001:db8::1');
      assert.equal(await reasonOf(good, '2001:0DB8:0:0:1:2:3:4'), 'rate_limited');
    });

    it('takes another IPv6 network for another', async () => {
      await exhaust('2001:db8::1');
      assert.equal(await reasonOf(good, '2001:db8:0:1::1'), 'allowed');
    });

    it('takes an IPv4 address for itself when it is mapped', async () => {
      await exhaust('192.0.2.1');
      assert.equal(await reasonOf(good, '::ffff:192.0.2.1'), 'rate_limited');
    });

    it('denies nobody of whom nothing is known', async () => {
      await exhaust();
      assert.equal(await reasonOf(good), 'allowed');
    });

    it('keeps one record of what it denied, with their number and source', async () => {
      await exhaust('192.0.2.1');
      const denied = [
        await admission.decide(asked(good, '192.0.2.1')),
        await admission.decide(asked(good, '192.0.2.1')),
      ];
      const shed = (await records()).filter(({ reason }) => reason === 'rate_limited');
      assert.deepEqual(
        shed.map(({ decision_id, requests, failed }) => [decision_id, requests, failed?.facts]),
        [[denied[0]?.decision_id, 2, { source: '192.0.2.1' }]],
      );
      assert.equal(denied[1]?.decision_id, denied[0]?.decision_id);
    });

    it('explains them together', async () => {
      await exhaust('192.0.2.1');
      const { decision_id } = await admission.decide(asked(good, '192.0.2.1'));
      await records();
      const { policies } = world.pdp;
      const deps = { store: world.store, policies, archive: memoryArchive(), tracer: createTracer() };
      const explanation = await explain(decision_id, { org: 'acme', env: 'prod' }, deps);
      assert.match(explanation?.summary ?? '', /rate_limited: .* share this decision: 1\.$/);
    });
  });
});

describe('a CheckRequest that is not read yet', () => {
  const mentions = (header: string) => mentionsPop(Buffer.from(`\n\x05${header}\x12`));

  for (const header of ['x-lemma-pop', 'signature-input']) {
    it(`may have a PoP where it mentions ${header}`, () => {
      assert.equal(mentions(header), true);
    });
  }

  it('has none where it mentions neither', () => {
    assert.equal(mentions('x-lemma-proof'), false);
  });
});
