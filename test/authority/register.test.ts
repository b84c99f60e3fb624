import assert from 'node:assert/strict';
import { Refusal } from '../../src/authority/refusal.ts';
import { InputError } from '../../src/reason.ts';
import type { RuntimeEntry } from '../../src/schema/config.ts';
import { HOME, openWorld, RUNTIME, type World } from './support.ts';

const refusedAs = (code: string) => (error: unknown) => error instanceof Refusal && error.code === code;
const OTHER_SUBJECT = `did:lemma:ppid_${'0'.repeat(64)}`;

describe('registering a runtime', () => {
  let world: World;
  beforeEach(async () => {
    world = await openWorld();
  });
  afterEach(() => world.close());

  const entry = (over: Partial<RuntimeEntry> = {}): RuntimeEntry => ({
    ...HOME,
    ...RUNTIME,
    profile: 'high',
    subject: OTHER_SUBJECT,
    keys: null,
    ...over,
  });
  const live = (id: string = RUNTIME.runtime_id) => world.gate.runtime(HOME.org, HOME.env, id);

  it('gives it the deployment, the low profile and the embedded operator', async () => {
    assert.deepEqual(await world.authority.bootstrap(RUNTIME), {
      ...HOME,
      ...RUNTIME,
      profile: 'low',
      subject: world.authority.subject,
      keys: null,
      status: 'active',
      registered_at: world.now,
      taint_epoch: 0,
    });
  });

  it('twice changes nothing', async () => {
    const first = await world.authority.bootstrap(RUNTIME);
    world.now += 5000;
    assert.deepEqual(await world.authority.bootstrap(RUNTIME), first);
  });

  it('twice at once gives one registration', async () => {
    const [first, second] = await Promise.all([
      world.authority.bootstrap(RUNTIME),
      world.authority.bootstrap(RUNTIME),
    ]);
    assert.deepEqual(first, second);
  });

  for (const other of [
    { agent_id: 'x' },
    { workspace_id: 'x' },
    { profile: 'high' },
    { subject: OTHER_SUBJECT },
  ] as const) {
    it(`under the same id with another ${Object.keys(other)} is a conflict`, async () => {
      await world.authority.bootstrap(RUNTIME);
      await assert.rejects(world.authority.bootstrap({ ...RUNTIME, ...other }), refusedAs('conflict'));
    });
  }

  it('two at once under one id: one is a conflict', async () => {
    const results = await Promise.allSettled([
      world.authority.bootstrap(RUNTIME),
      world.authority.bootstrap({ ...RUNTIME, agent_id: 'x' }),
    ]);
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  });

  it('in another organisation is not found', async () => {
    await assert.rejects(world.authority.bootstrap({ ...RUNTIME, org: 'other' }), refusedAs('not_found'));
  });

  it('survives a restart', async () => {
    const before = await world.authority.bootstrap({ ...RUNTIME, keys: ['A'.repeat(43)] });
    world = await world.restart();
    assert.deepEqual(live(), before);
  });

  it('again after a kill is refused, after a restart too', async () => {
    await world.authority.bootstrap(RUNTIME);
    await world.authority.kill(RUNTIME.runtime_id);
    await assert.rejects(world.authority.bootstrap(RUNTIME), refusedAs('runtime_killed'));
    world = await world.restart();
    await assert.rejects(world.authority.bootstrap(RUNTIME), refusedAs('runtime_killed'));
  });

  describe('by file', () => {
    it('makes it known', () => {
      world.authority.registerFromFile([entry()]);
      assert.equal(live()?.profile, 'high');
    });

    it('lets the file change it', () => {
      world.authority.registerFromFile([entry()]);
      world.authority.registerFromFile([entry({ profile: 'critical', agent_id: 'other' })]);
      assert.deepEqual([live()?.profile, live()?.agent_id], ['critical', 'other']);
    });

    it('makes one that leaves the file inactive, and active when it returns', () => {
      const seen = [[entry()], [], [entry()]].map((entries) => {
        world.authority.registerFromFile(entries);
        return live()?.status;
      });
      assert.deepEqual(seen, ['active', 'inactive', 'active']);
    });

    it('never brings a killed one back, in this process or the next', async () => {
      world.authority.registerFromFile([entry()]);
      await world.authority.kill(RUNTIME.runtime_id);
      world.authority.registerFromFile([]);
      world.authority.registerFromFile([entry({ profile: 'low' })]);
      assert.equal(live()?.status, 'killed');
      world = await world.restart();
      world.authority.registerFromFile([entry()]);
      assert.equal(live()?.status, 'killed');
    });

    it('keeps the taint epoch, in this process and the next', async () => {
      world.authority.registerFromFile([entry()]);
      await world.authority.taint(RUNTIME.runtime_id, 'a page said so');
      world.authority.registerFromFile([entry({ profile: 'low' })]);
      assert.equal(live()?.taint_epoch, 1);
      world = await world.restart();
      world.authority.registerFromFile([entry()]);
      assert.equal(live()?.taint_epoch, 1);
    });

    it('clashes with another registration by API, and then changes nothing', async () => {
      await world.authority.bootstrap(RUNTIME);
      const entries = [entry({ runtime_id: 'bot-2' }), entry()];
      assert.throws(
        () => world.authority.registerFromFile(entries),
        (error) => error instanceof InputError && error.problems[0]?.field === 'runtimes[1].profile',
      );
      assert.equal(live('bot-2'), null);
    });

    it('agrees with the same registration by API', async () => {
      const before = await world.authority.bootstrap(RUNTIME);
      world.authority.registerFromFile([entry({ profile: 'low', subject: world.authority.subject })]);
      world.authority.registerFromFile([]);
      assert.deepEqual(live(), before);
    });

    it('names an id that stands twice', () => {
      assert.throws(
        () => world.authority.registerFromFile([entry(), entry()]),
        (error) => error instanceof InputError && error.problems[0]?.field === 'runtimes[1].runtime_id',
      );
    });

    it('is a conflict for another registration by API', async () => {
      world.authority.registerFromFile([entry()]);
      await assert.rejects(world.authority.bootstrap(RUNTIME), refusedAs('conflict'));
    });

    it('gives way to one by API once it has left the file', async () => {
      world.authority.registerFromFile([entry()]);
      world.authority.registerFromFile([]);
      assert.equal((await world.authority.bootstrap(RUNTIME)).status, 'active');
    });
  });

  describe('listing', () => {
    it('pages by id, within the tenant', async () => {
      for (const id of ['c', 'a', 'b']) await world.authority.bootstrap({ ...RUNTIME, runtime_id: id });
      world.authority.registerFromFile([entry({ org: 'other', runtime_id: 'd' })]);
      const first = world.authority.list(HOME, { limit: 2 });
      const second = world.authority.list(HOME, { limit: 2, cursor: first.next_cursor ?? '' });
      assert.deepEqual(
        [first, second].map(({ runtimes }) => runtimes.map((r) => r.runtime_id)),
        [['a', 'b'], ['c']],
      );
      assert.deepEqual([typeof first.next_cursor, second.next_cursor], ['string', null]);
    });
  });
});
