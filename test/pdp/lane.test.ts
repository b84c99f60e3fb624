import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Abandoned, type Caller, createLane, type Lane } from '../../src/pdp/lane.ts';

const PATIENT: Caller = { remainingMs: null };

describe('the lane of decisions', () => {
  let now: number;
  let limits: { concurrency: number; queue: number; queue_ms: number };
  let lane: Lane;
  /** Work that was begun, and how to end it. */
  let begun: { readonly name: string; readonly end: () => void }[];
  /** How often the lane has looked at the clock. */
  let looked: number;

  beforeEach(() => {
    now = 0;
    limits = { concurrency: 1, queue: 100, queue_ms: 10 };
    lane = createLane(
      () => limits,
      () => {
        looked += 1;
        return now;
      },
    );
    looked = 0;
    begun = [];
  });
  afterEach(async () => {
    while (lane.stats().running + lane.stats().queued > 0) {
      for (const { end } of begun.splice(0)) end();
      await turn();
    }
  });

  /** Asks for a turn; resolves with `done`, `shed` or `abandoned`. */
  function ask(name: string, caller = PATIENT): Promise<string> {
    const work = () => new Promise<string>((resolve) => begun.push({ name, end: () => resolve('done') }));
    return lane
      .run(caller, { work, shed: () => 'shed' })
      .catch((error: unknown) => (error instanceof Abandoned ? 'abandoned' : 'failed'));
  }

  const names = () => begun.map(({ name }) => name);

  async function endFirst(): Promise<void> {
    begun.shift()?.end();
    await turn();
    await turn();
  }

  it('begins at once where there is room', () => {
    ask('a');
    assert.deepEqual(names(), ['a']);
  });

  it('begins at once at any time', () => {
    now = 100;
    ask('a');
    assert.deepEqual(names(), ['a']);
  });

  it('begins at once by a clock of its own', () => {
    let began = false;
    const work = async () => {
      began = true;
    };
    createLane(() => limits).run(PATIENT, { work, shed: async () => undefined });
    assert.equal(began, true);
  });

  it('begins no more than may be under way', () => {
    limits.concurrency = 2;
    for (const name of 'abc') ask(name);
    assert.deepEqual(names(), ['a', 'b']);
  });

  it('begins the one that has waited longest when one ends', async () => {
    for (const name of 'abc') ask(name);
    await endFirst();
    assert.deepEqual(names(), ['b']);
  });

  it('takes a larger concurrency over', async () => {
    for (const name of 'abc') ask(name);
    limits.concurrency = 3;
    ask('d');
    await turn();
    await turn();
    assert.deepEqual(names(), ['a', 'b', 'c']);
  });

  /** One that is under way, and so many that wait for it. */
  const crowd = (count: number) => Array.from({ length: count + 1 }, (_, i) => ask(`${i}`));

  it('lets a burst wait', async () => {
    const burst = crowd(100);
    now = 200;
    await endFirst();
    assert.deepEqual(names(), ['1']);
    begun[0]?.end();
    assert.equal(await burst[1], 'done');
  });

  it('sheds those of a burst that have waited five hundred times as long', async () => {
    const burst = crowd(3);
    now = 5001;
    await endFirst();
    assert.equal(await burst[1], 'shed');
  });

  it('lets those of a burst have their turn until then', async () => {
    crowd(3);
    now = 5000;
    await endFirst();
    assert.deepEqual(names(), ['1']);
  });

  it('counts from when one came', async () => {
    now = 4000;
    crowd(1);
    now = 8000;
    await endFirst();
    assert.deepEqual(names(), ['1']);
  });

  it('sheds who comes when as many wait as may', async () => {
    crowd(100);
    assert.equal(await ask('one more'), 'shed');
  });

  it('denies a caller that named its time before that is over', async () => {
    ask('a');
    const hurried = ask('b', { remainingMs: 100 });
    now = 81;
    await endFirst();
    assert.equal(await hurried, 'shed');
  });

  it('lets such a caller have its turn before', async () => {
    ask('a');
    ask('b', { remainingMs: 100 });
    now = 80;
    await endFirst();
    assert.deepEqual(names(), ['b']);
  });

  it('counts the time of such a caller from when it came', async () => {
    now = 50;
    ask('a');
    ask('b', { remainingMs: 100 });
    now = 60;
    await endFirst();
    assert.deepEqual(names(), ['b']);
  });

  it('sheds who comes while the first has waited too long', async () => {
    crowd(1);
    now = 5001;
    assert.equal(await ask('one more'), 'shed');
  });

  it('lets wait who comes until then', () => {
    now = 4000;
    crowd(1);
    now = 9000;
    ask('one more');
    assert.equal(lane.stats().queued, 2);
  });

  it('sheds those who have waited queue_ms once it has to shed, but for the last sixteen', async () => {
    const burst = crowd(100);
    now = 11;
    ask('one more');
    await endFirst();
    begun[0]?.end();
    const outcomes = await Promise.all(burst.slice(1, 86));
    assert.deepEqual([outcomes.filter((one) => one === 'shed').length, outcomes.at(-1)], [84, 'done']);
  });

  /** Overload: somebody was shed, and turns come every so many milliseconds to the 20 who wait. */
  async function overload(every: number): Promise<void> {
    crowd(20);
    limits.queue = 20;
    for (let i = 0; i < 200; i++) {
      if (i % 50 === 0) ask('shed');
      now += every;
      await endFirst();
      ask(`later ${i}`);
    }
    limits.queue = 100;
  }

  it('sheds at once whoever would have to wait too long, in overload', async () => {
    await overload(2);
    assert.equal(await ask('one more'), 'shed');
  });

  it('lets those wait whose turn will come in time, in overload', async () => {
    await overload(0.1);
    const one = ask('one more');
    assert.equal(await Promise.race([one, Promise.resolve('still waiting')]), 'still waiting');
  });

  /** Three wait, and turns come every so many milliseconds; then 20 more come at once. Gives how many wait then. */
  async function rush(every: number, shedBefore: boolean): Promise<number> {
    crowd(3);
    for (let i = 0; i < 200; i++) {
      now += every;
      await endFirst();
      ask(`later ${i}`);
    }
    if (shedBefore) {
      limits.queue = 0;
      ask('shed');
      limits.queue = 100;
    }
    for (let i = 0; i < 20; i++) ask(`rush ${i}`);
    return lane.stats().queued;
  }

  it('lets no more than sixteen wait for turns that come too slowly, in overload', async () => {
    assert.equal(await rush(2, true), 16);
  });

  it('lets all wait for turns that come fast enough, in overload', async () => {
    assert.equal(await rush(0.1, true), 23);
  });

  it('lets all wait for turns that come slowly, without overload', async () => {
    assert.equal(await rush(2, false), 23);
  });

  it('takes a crowd for a burst again after a second without one shed', async () => {
    await overload(2);
    now += 1000;
    for (let i = 0; i < 30; i++) await endFirst();
    crowd(50);
    const one = ask('one more');
    assert.equal(await Promise.race([one, Promise.resolve('still waiting')]), 'still waiting');
  });

  describe('while nothing ends', () => {
    let outcome: string | null;

    beforeEach(async () => {
      mock.timers.enable({ apis: ['setTimeout'] });
      outcome = null;
      ask('a');
      ask('b').then((one) => {
        outcome = one;
      });
      await turn();
    });
    afterEach(() => mock.timers.reset());

    async function pass(queueTimes: number): Promise<void> {
      for (let i = 0; i < queueTimes; i++) {
        mock.timers.tick(limits.queue_ms);
        await turn();
      }
    }

    it('sheds in time', async () => {
      now = 5001;
      await pass(1);
      assert.equal(outcome, 'shed');
    });

    it('looks more than once whether it must', async () => {
      now = 100;
      await pass(2);
      now = 5001;
      await pass(1);
      assert.equal(outcome, 'shed');
    });

    it('does not look in each turn of the loop', async () => {
      looked = 0;
      for (let i = 0; i < 5; i++) await turn();
      assert.equal(looked, 0);
    });
  });

  it('begins nothing for a caller whose time is over', async () => {
    ask('a');
    const impatient = ask('b', { remainingMs: 5 });
    now = 5;
    await endFirst();
    assert.deepEqual([names(), await impatient], [[], 'abandoned']);
  });

  it('begins nothing for a caller that has hung up', async () => {
    ask('a');
    let gone = false;
    const fickle = ask('b', { remainingMs: null, gone: () => gone });
    gone = true;
    await endFirst();
    assert.deepEqual([names(), await fickle, lane.stats().abandoned], [[], 'abandoned', 1]);
  });

  it('leaves the loop to others after a few milliseconds of decisions', async () => {
    limits.concurrency = 100;
    const costly = () => {
      now += 1;
      return Promise.resolve('done');
    };
    let done = 0;
    for (let i = 0; i < 12; i++) {
      lane.run(PATIENT, { work: costly, shed: () => 'shed' }).then(() => {
        done += 1;
      });
    }
    await Promise.resolve();
    const seen = [now];
    await turn();
    seen.push(now);
    assert.deepEqual(seen, [2, 4]);
    while (done < 12) await turn();
  });

  it('goes on with those who wait in the next turn of the loop, although nothing ends', async () => {
    limits.concurrency = 100;
    let began = 0;
    const ends = Promise.withResolvers<string>();
    const work = () => {
      now += 1;
      began += 1;
      return ends.promise;
    };
    for (let i = 0; i < 6; i++) lane.run(PATIENT, { work, shed: () => 'shed' });
    for (let i = 0; i < 4; i++) await turn();
    ends.resolve('done');
    assert.equal(began, 6);
  });

  it('was not full while there was room', () => {
    ask('a');
    assert.equal(lane.wasFull(), false);
  });

  it('was full when one had to wait for another', () => {
    crowd(1);
    assert.equal(lane.wasFull(), true);
  });

  it('was full only since it was asked last', () => {
    crowd(1);
    lane.wasFull();
    assert.equal(lane.wasFull(), false);
  });
});
