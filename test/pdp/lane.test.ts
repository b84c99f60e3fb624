import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { Abandoned, type Caller, createLane, type Lane } from '../../src/pdp/lane.ts';

const PATIENT: Caller = { remainingMs: null };

describe('the lane of decisions', () => {
  let now: number;
  let limits: { concurrency: number; queue: number; queue_ms: number };
  let lane: Lane;
  /** Work that was begun, and how to end it. */
  let begun: { readonly name: string; readonly end: () => void }[];

  beforeEach(() => {
    now = 0;
    limits = { concurrency: 1, queue: 0, queue_ms: 10 };
    lane = createLane(
      () => limits,
      () => now,
    );
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

  it('lets a burst wait five times as long', async () => {
    ask('a');
    const burst = ask('b');
    now = 49;
    await endFirst();
    assert.deepEqual(names(), ['b']);
    begun[0]?.end();
    assert.equal(await burst, 'done');
  });

  it('sheds those of a burst that have waited longer', async () => {
    ask('a');
    const burst = ask('b');
    now = 51;
    await endFirst();
    assert.equal(await burst, 'shed');
  });

  it('sheds whoever comes while the first in a standing queue has waited too long', async () => {
    ask('a');
    ask('b');
    now = 51;
    assert.equal(await ask('c'), 'shed');
  });

  it('sheds sooner while the queue stands', async () => {
    ask('a');
    ask('b');
    now = 45;
    ask('c');
    await endFirst();
    now = 56;
    const late = ask('d');
    assert.deepEqual([names(), await late], [['b'], 'shed']);
  });

  /** A queue of `count` stands, whose turns come every so many milliseconds; the last of them is shed. */
  async function standing(count: number, every: number): Promise<void> {
    limits.queue = count;
    for (let i = 0; i <= count; i++) ask(`${i}`);
    for (let i = 0; i < 200; i++) {
      now += every;
      await endFirst();
      ask(`later ${i}`);
    }
    limits.queue = 0;
  }

  it('sheds at once whoever would have to wait too long, while the queue stands', async () => {
    await standing(5, 4);
    assert.equal(await ask('one more'), 'shed');
  });

  it('lets those wait whose turn will come in time, while the queue stands', async () => {
    await standing(5, 1);
    const one = ask('one more');
    const none = Promise.resolve('still waiting');
    assert.equal(await Promise.race([one, none]), 'still waiting');
  });

  it('takes a crowd for a burst again after a second without one shed', async () => {
    ask('a');
    ask('b');
    now = 51;
    ask('c');
    await endFirst();
    now = 1051;
    await endFirst();
    ask('d');
    ask('e');
    ask('f');
    await endFirst();
    assert.deepEqual(names(), ['e']);
  });

  it('lets a few wait in a standing queue too', async () => {
    limits.queue = 2;
    ask('a');
    ask('b');
    now = 199;
    ask('c');
    assert.equal(await ask('d'), 'shed');
    await endFirst();
    assert.deepEqual(names(), ['b']);
  });

  it('sheds in time although nothing ends', async () => {
    limits.queue_ms = 1;
    ask('a');
    const waiting = ask('b');
    now = 100;
    assert.equal(await waiting, 'shed');
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
});
