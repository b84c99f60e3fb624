import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine, type Engine } from '../../src/policy/engine.ts';
import type { Evaluation } from '../../src/policy/evaluate.ts';
import {
  createEvaluationThread,
  type EvaluationThread,
  QUEUE_AT_MOST,
  WAIT_MS,
} from '../../src/policy/evaluation-thread.ts';
import { ENGINE_LIMITS } from '../../src/policy/limits.ts';
import { Denial } from '../../src/reason.ts';
import { ATTACKS } from './hostile-attacks.ts';
import { nearInputs } from './near-inputs.ts';
import { ALLOWED, allowedInput, bytes, denial, fixture } from './support.ts';

const RUNS = 150;
/** Light evaluations after which a policy is trusted again. */
const PROBATION = 100;
/** Some ten seconds of work: nobody waits for its end. */
const ENDLESS = { ...ENGINE_LIMITS, steps: 2 ** 31 - 1 };

const LIGHT = bytes({});
const RUNAWAY = bytes({ attack: 'comprehension', size: 1_000 });

/** How it ended, for comparison. */
async function endOf(work: () => Evaluation | Promise<Evaluation>): Promise<unknown> {
  try {
    const { resultJson, result, steps } = await work();
    return { resultJson, result, steps };
  } catch (cause) {
    assert.ok(cause instanceof Denial, String(cause));
    return { code: cause.code, message: cause.message, facts: cause.facts };
  }
}

/** The threads that start while `work` goes on. */
async function threadsOf(work: () => Promise<void>): Promise<number> {
  let threads = 0;
  const count = () => {
    threads += 1;
  };
  process.on('worker', count);
  try {
    await work();
  } finally {
    process.off('worker', count);
  }
  return threads;
}

describe('policies in a thread of their own', () => {
  let thread: EvaluationThread;
  let now = 0;

  beforeEach(() => {
    thread = createEvaluationThread(() => now);
  });
  afterEach(() => thread.close());

  const hostile = (more = {}) => compileEngine(fixture('hostile'), { thread, ...more });

  describe('come to the same end as beside their callers', () => {
    for (const [attack, size] of ATTACKS) {
      it(attack, async () => {
        const engine = await hostile();
        const input = bytes({ attack, size });
        const here = await endOf(() => engine.evaluate(input));
        for (let i = 0; i < 2; i++) assert.deepEqual(await endOf(() => engine.decide(input, true)), here);
      });
    }

    for (const profile of ['low', 'high', 'critical'] as const) {
      it(`${RUNS} inputs around the allowed one of ${profile}`, async () => {
        const bundle = (await loadEmbedded()).find(({ name }) => name === profile);
        assert.ok(bundle);
        const engine = await compileEngine(bundle, { thread });
        await fc.assert(
          fc.asyncProperty(nearInputs(profile), async (document) => {
            const input = bytes(document);
            assert.deepEqual(
              await endOf(() => engine.decide(input, true)),
              await endOf(() => engine.evaluate(input)),
            );
          }),
          { numRuns: RUNS },
        );
      });
    }

    it('more policies than it keeps, in turns', async () => {
      const steps = Array.from({ length: 10 }, (_, i) => 300_000 + i * 10_000);
      const engines: Engine[] = [];
      for (const each of steps) {
        const limits = { ...ENGINE_LIMITS, steps: each };
        engines.push(await hostile({ limits, spare: false }));
      }
      for (const engine of [...engines, ...engines]) {
        const here = await endOf(() => engine.evaluate(RUNAWAY));
        assert.deepEqual(await endOf(() => engine.decide(RUNAWAY, true)), here);
      }
    });
  });

  describe('go there', () => {
    it('never while they behave, and no thread is started', async () => {
      const threads = await threadsOf(async () => {
        for (const bundle of await loadEmbedded()) {
          const engine = await compileEngine(bundle, { thread });
          const asked = Array.from({ length: 20 }, () => engine.decide(bytes(allowedInput(bundle.name))));
          assert.deepEqual(
            asked.filter((one) => one instanceof Promise),
            [],
          );
        }
      });
      assert.equal(threads, 0);
    });

    it('in the midst of the first evaluation that runs away', async () => {
      const engine = await hostile();
      const asked = engine.decide(RUNAWAY);
      assert.ok(asked instanceof Promise);
      await assert.rejects(asked, denial('policy_timeout', /steps/));
    });

    it('after a failure, with all that they are asked next', async () => {
      const engine = await compileEngine(fixture('probe'), { thread });
      assert.throws(() => engine.decide(bytes({ wrong: 'clash' })), denial('policy_error'));
      const asked = engine.decide(bytes({ answer: ALLOWED }));
      assert.ok(asked instanceof Promise);
      assert.deepEqual((await asked).result, ALLOWED);
    });

    it(`until ${PROBATION} evaluations in a row were light`, async () => {
      const engine = await hostile();
      await endOf(() => engine.decide(RUNAWAY));
      // The runaway came to its end there, so that it alone is counted: what follows begins to be good.
      for (let i = 0; i < PROBATION; i++) {
        const asked = engine.decide(LIGHT);
        assert.ok(asked instanceof Promise, `the ${i + 1}st`);
        await asked;
      }
      assert.equal(engine.decide(LIGHT) instanceof Promise, false);
    });

    it('again from the start of that count with another runaway', async () => {
      const engine = await hostile();
      await endOf(() => engine.decide(RUNAWAY));
      for (let i = 0; i < PROBATION - 1; i++) await engine.decide(LIGHT);
      await endOf(() => engine.decide(RUNAWAY));
      await engine.decide(LIGHT);
      const asked = engine.decide(LIGHT);
      assert.ok(asked instanceof Promise);
      await asked;
    });

    it('with a large input, which is not held against them', async () => {
      const engine = await compileEngine(fixture('probe'), { thread });
      const asked = engine.decide(bytes({ answer: ALLOWED, padding: 'a'.repeat(100_000) }));
      assert.ok(asked instanceof Promise);
      assert.deepEqual((await asked).result, ALLOWED);
      assert.equal(engine.decide(bytes({ answer: ALLOWED })) instanceof Promise, false);
    });
  });

  describe('wait for each other', () => {
    it('in the order in which they were asked', async () => {
      const engine = await compileEngine(fixture('probe'), { thread });
      const said: (string | undefined)[] = [];
      const names = Array.from({ length: 20 }, (_, i) => `n${i}`);
      await Promise.all(
        names.map(async (message) => {
          const { result } = await engine.decide(bytes({ answer: { ...ALLOWED, message } }), true);
          said.push(result.message);
        }),
      );
      assert.deepEqual(said, names);
    });

    /** How each of so many that are asked at once ends. */
    async function together(count: number, input: Uint8Array): Promise<string[]> {
      const engine = await hostile();
      const codes = Array.from({ length: count }, () =>
        Promise.resolve(engine.decide(input, true)).then(
          ({ result }) => result.reason,
          (cause: unknown) => (cause instanceof Denial ? cause.code : String(cause)),
        ),
      );
      return Promise.all(codes);
    }

    it(`up to ${QUEUE_AT_MOST}: overloaded, and no other`, async () => {
      const expected = [...Array(QUEUE_AT_MOST + 1).fill('allowed'), ...Array(10).fill('overloaded')];
      assert.deepEqual(await together(QUEUE_AT_MOST + 11, LIGHT), expected);
    });

    it('up to 8 MiB of inputs: overloaded, and no other', async () => {
      const large = bytes({ padding: 'a'.repeat((1 << 20) - 100) });
      const expected = [...Array(9).fill('allowed'), ...Array(2).fill('overloaded')];
      assert.deepEqual(await together(11, large), expected);
    });

    it('up to two seconds: overloaded', async () => {
      const engine = await hostile();
      const first = engine.decide(LIGHT, true);
      const second = Promise.resolve(engine.decide(LIGHT, true));
      now += WAIT_MS + 1;
      const third = engine.decide(LIGHT, true);
      await assert.rejects(second, denial('overloaded', /too late/));
      assert.deepEqual([(await first).result, (await third).result], [ALLOWED, ALLOWED]);
    });
  });

  describe('lose their thread', () => {
    /** One that has begun, and the thread that it is in. */
    async function begun(): Promise<{ engine: Engine; asked: Promise<unknown>; worker: Worker }> {
      const started = once(process, 'worker') as Promise<[Worker]>;
      const engine = await hostile({ limits: ENDLESS });
      await engine.decide(LIGHT, true);
      const [worker] = await started;
      const asked = Promise.resolve(engine.decide(RUNAWAY, true));
      asked.catch(() => undefined);
      return { engine, asked, worker };
    }

    it('in the midst of an evaluation: policy_unavailable, and the next has a new one', async () => {
      const { engine, asked, worker } = await begun();
      const next = engine.decide(LIGHT, true);
      await worker.terminate();
      await assert.rejects(asked, denial('policy_unavailable'));
      assert.deepEqual((await next).result, ALLOWED);
    });

    it('between two: the next has a new one', async () => {
      const started = once(process, 'worker') as Promise<[Worker]>;
      const engine = await hostile();
      await engine.decide(LIGHT, true);
      const [worker] = await started;
      await worker.terminate();
      assert.deepEqual((await engine.decide(LIGHT, true)).result, ALLOWED);
    });

    it('when it is closed: what runs, what waits and what comes is policy_unavailable', async () => {
      const { engine, asked, worker } = await begun();
      const waiting = Promise.resolve(engine.decide(LIGHT, true));
      const exited = once(worker, 'exit');
      const closed = thread.close();
      await assert.rejects(waiting, denial('policy_unavailable', /stops/));
      await assert.rejects(asked, denial('policy_unavailable'));
      await Promise.all([closed, exited]);
      await assert.rejects(async () => engine.decide(LIGHT, true), denial('policy_unavailable', /stops/));
    });
  });
});
