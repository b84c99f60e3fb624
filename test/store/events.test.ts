import assert from 'node:assert/strict';
import fc from 'fast-check';
import { StoreConflict } from '../../src/store/errors.ts';
import type { Runtime, StoreEvent } from '../../src/store/model.ts';
import type { Store } from '../../src/store/store.ts';
import {
  BOT,
  describeStores,
  killed,
  NOW,
  registered,
  statusOf,
  TENANT,
  tainted,
  type Workspace,
} from './fixture.ts';

describeStores('events', (workspace) => {
  let at: Workspace;
  let store: Store;
  beforeEach(async () => {
    at = workspace();
    store = await at.open();
  });
  afterEach(() => at.end());

  const conflict = (code: string) => (error: unknown) =>
    error instanceof StoreConflict && error.code === code;

  async function bot(): Promise<Runtime> {
    const [runtime] = (await store.load()).runtimes;
    assert.ok(runtime);
    return runtime;
  }

  it('numbers them from 1 without gaps, also after a conflict', async () => {
    const first = await store.appendEvent(registered());
    await assert.rejects(store.appendEvent(registered({ profile: 'low' })));
    const second = await store.appendEvent(killed());
    assert.deepEqual([first.seq, second.seq], [1, 2]);
  });

  it('go on where they stopped, after a restart', async () => {
    await store.appendEvent(registered());
    await store.close();
    store = await at.open();
    assert.deepEqual((await store.load()).last, { epoch: NOW, seq: 1 });
    assert.equal((await store.appendEvent(killed())).seq, 2);
  });

  describe('reactivate', () => {
    const reactivated = (taint_epoch: number): StoreEvent => ({
      ...TENANT,
      type: 'reactivate',
      payload: { runtime_id: BOT.runtime_id, taint_epoch },
      time: NOW + 9,
    });
    beforeEach(async () => void (await store.appendEvent(registered({ taint_epoch: 2 }))));

    it('brings a killed runtime back under a higher epoch, and keeps since when', async () => {
      await store.appendEvent(killed());
      await store.appendEvent(reactivated(3));
      const { status, taint_epoch, revived } = await bot();
      assert.deepEqual([status, taint_epoch, revived], ['active', 3, { taint_epoch: 3, at: NOW + 9 }]);
    });

    it('holds for a runtime that is not registered here, over a restart too', async () => {
      await store.appendEvent(killed('ghost'));
      const { payload, ...event } = reactivated(1) as Extract<StoreEvent, { type: 'reactivate' }>;
      await store.appendEvent({ ...event, payload: { ...payload, runtime_id: 'ghost' } });
      await store.close();
      store = await at.open();
      const revived = { taint_epoch: 1, at: NOW + 9 };
      const ghost = { ...TENANT, runtime_id: 'ghost', status: 'active', taint_epoch: 1, revived };
      assert.deepEqual((await store.load()).unregistered, [ghost]);
    });

    it('gives way to a kill that comes after it', async () => {
      for (const event of [killed(), reactivated(3), killed()]) await store.appendEvent(event);
      assert.equal((await bot()).status, 'killed');
    });

    it('refuses a runtime that is not killed, and an epoch that is not higher', async () => {
      await assert.rejects(store.appendEvent(reactivated(3)), conflict('runtime_alive'));
      await store.appendEvent(killed());
      await assert.rejects(store.appendEvent(reactivated(2)), conflict('runtime_alive'));
      assert.equal((await bot()).status, 'killed');
    });
  });

  it('keep what an operator did that changes no runtime', async () => {
    const payload = { action: 'approve', runtime_id: BOT.runtime_id, by: 'owner' };
    await store.appendEvent({ ...TENANT, type: 'admin', payload, time: NOW });
    const [event] = await store.eventsAround(TENANT, BOT.runtime_id, NOW);
    assert.deepEqual([event?.type, event?.runtime_id, event?.payload], ['admin', BOT.runtime_id, payload]);
  });

  it('keep what the configuration registers, which is no registration here', async () => {
    await store.appendEvent(registered());
    const runtime = { ...BOT, keys: null, status: 'active', registered_at: NOW, taint_epoch: 0 } as const;
    const payload = { runtimes: [{ ...runtime, runtime_id: 'filed' }], withdrawn: [BOT.runtime_id] };
    const { seq } = await store.appendEvent({ ...TENANT, type: 'configured', payload, time: NOW });
    const [event] = await store.eventsAfter(seq - 1, 1);
    assert.deepEqual([event?.type, event?.runtime_id, event?.payload], ['configured', null, payload]);
    const { runtimes } = await store.load();
    assert.deepEqual(
      runtimes.map(({ runtime_id, status }) => [runtime_id, status]),
      [[BOT.runtime_id, 'active']],
    );
  });

  it('revoke a subject', async () => {
    const revocation = { kind: 'subject', value: BOT.subject } as const;
    await store.appendEvent({ ...TENANT, type: 'revoke', payload: revocation, time: NOW });
    assert.deepEqual((await store.load()).revocations, [{ ...TENANT, ...revocation }]);
  });

  it('register a runtime, keys sorted and once each', async () => {
    await store.appendEvent(registered({ keys: ['b', 'a', 'b'], taint_epoch: 2 }));
    assert.deepEqual(await bot(), {
      ...TENANT,
      ...BOT,
      keys: ['a', 'b'],
      status: 'active',
      taint_epoch: 2,
      registered_at: NOW,
    });
  });

  it('register the same again as the event that it was', async () => {
    const first = await store.appendEvent(registered());
    await store.appendEvent(tainted(4));
    assert.deepEqual(await store.appendEvent(registered()), first);
    assert.equal((await bot()).taint_epoch, 4);
  });

  it('do not register the same id with other data', async () => {
    await store.appendEvent(registered());
    for (const other of [{ agent_id: 'x' }, { subject: 'x' }, { keys: ['x'] }, { keys: [] }]) {
      await assert.rejects(store.appendEvent(registered(other)), conflict('runtime_differs'));
    }
  });

  it('keep the same id of another tenant apart', async () => {
    await store.appendEvent(registered());
    await store.appendEvent({ ...registered({ agent_id: 'x' }), env: 'test' });
    await store.appendEvent(killed());
    const statuses = (await store.load()).runtimes.map(({ env, status }) => [env, status]);
    assert.deepEqual(Object.fromEntries(statuses), { prod: 'killed', test: 'active' });
  });

  it('kill for ever: no status, no registration brings it back', async () => {
    await store.appendEvent(registered());
    await store.appendEvent(killed());
    await assert.rejects(store.appendEvent(statusOf('active')), conflict('runtime_killed'));
    await assert.rejects(store.appendEvent(registered()), conflict('runtime_killed'));
    await store.appendEvent(tainted(3));
    assert.equal((await bot()).status, 'killed');
  });

  it('kill and taint a runtime that is not registered here', async () => {
    await store.appendEvent(killed('ghost'));
    await store.appendEvent(tainted(7, 'file-bot'));
    const { unregistered } = await store.load();
    assert.deepEqual(unregistered, [
      { ...TENANT, runtime_id: 'file-bot', status: 'active', taint_epoch: 7 },
      { ...TENANT, runtime_id: 'ghost', status: 'killed', taint_epoch: 0 },
    ]);
    await assert.rejects(store.appendEvent(registered({ runtime_id: 'ghost' })), conflict('runtime_killed'));
  });

  it('keep what an unregistered runtime was, when it registers', async () => {
    await store.appendEvent(tainted(7));
    await store.appendEvent(statusOf('inactive'));
    await store.appendEvent(registered({ taint_epoch: 1 }));
    const { status, taint_epoch } = await bot();
    assert.deepEqual({ status, taint_epoch }, { status: 'inactive', taint_epoch: 7 });
  });

  it('switch a runtime off and on', async () => {
    await store.appendEvent(registered());
    await store.appendEvent(statusOf('inactive'));
    assert.equal((await bot()).status, 'inactive');
    await store.appendEvent(statusOf('active'));
    assert.equal((await bot()).status, 'active');
  });

  it('never lower a taint epoch and never undo a kill, in whatever order they come', async () => {
    const step = fc.oneof(
      fc.nat(20).map((epoch) => tainted(epoch)),
      fc.constantFrom<StoreEvent>(statusOf('active'), statusOf('inactive'), registered(), killed()),
    );
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (events) => {
        round += 1;
        const env = `e${round}`;
        let highest = 0;
        let wasKilled = false;
        for (const event of events) {
          await store
            .appendEvent({ ...event, env })
            .catch((error) => assert.ok(error instanceof StoreConflict));
          if (event.type === 'taint') highest = Math.max(highest, event.payload.taint_epoch);
          wasKilled ||= event.type === 'kill';
        }
        const { runtimes, unregistered } = await store.load();
        const found = [...runtimes, ...unregistered].find((runtime) => runtime.env === env);
        assert.equal(found?.taint_epoch ?? 0, highest);
        assert.equal(found?.status === 'killed', wasKilled);
      }),
      { numRuns: 60 },
    );
  });

  it('revoke once, however often it is said', async () => {
    const revoke: StoreEvent = {
      ...TENANT,
      type: 'revoke',
      payload: { kind: 'key', value: 'k1', by: 'ann' },
      time: NOW,
    };
    await store.appendEvent(revoke);
    await store.appendEvent(revoke);
    assert.deepEqual((await store.load()).revocations, [{ ...TENANT, kind: 'key', value: 'k1' }]);
  });

  it('are read back in order, with all that they said', async () => {
    await store.appendEvent(registered());
    await store.appendEvent({ ...TENANT, type: 'key', payload: { note: 'rotated' }, time: NOW + 5 });
    const [, key] = await store.eventsAfter(0, 10);
    assert.deepEqual(key, {
      ...TENANT,
      epoch: NOW,
      seq: 2,
      time: NOW + 5,
      type: 'key',
      runtime_id: null,
      payload: { note: 'rotated' },
    });
    assert.deepEqual(await store.eventsAfter(2, 10), []);
  });

  it('around a moment: of this runtime and of its tenant, nearest first', async () => {
    await store.appendEvent(registered());
    await store.appendEvent(registered({ runtime_id: 'other' }));
    await store.appendEvent(killed());
    await store.appendEvent({
      ...TENANT,
      type: 'revoke',
      payload: { kind: 'key', value: 'k' },
      time: NOW + 50,
    });
    await store.appendEvent({ org: 'evil', env: 'prod', type: 'key', payload: {}, time: NOW + 1 });
    const seqs = async (time: number, each: number) =>
      (await store.eventsAround(TENANT, BOT.runtime_id, time, each)).map(({ seq }) => seq);
    assert.deepEqual(await seqs(NOW + 10, 10), [1, 3, 4]);
    assert.deepEqual(await seqs(NOW + 10, 1), [3, 4]);
  });

  it('list runtimes page by page, of one tenant', async () => {
    for (const id of ['c', 'a', 'b']) await store.appendEvent(registered({ runtime_id: id }));
    await store.appendEvent({ ...registered(), org: 'evil' });
    const first = await store.listRuntimes(TENANT, { limit: 2 });
    assert.deepEqual(
      first.runtimes.map(({ runtime_id }) => runtime_id),
      ['a', 'b'],
    );
    const second = await store.listRuntimes(TENANT, { limit: 2, cursor: first.next_cursor ?? '' });
    assert.deepEqual(
      second.runtimes.map(({ runtime_id }) => runtime_id),
      ['c'],
    );
    assert.equal(second.next_cursor, null);
  });
});

describeStores('bundles', (workspace) => {
  let at: Workspace;
  let store: Store;
  beforeEach(async () => {
    at = workspace();
    store = await at.open();
  });
  afterEach(() => at.end());

  const bundle = (revision: string, sha256: string, serial = 1) => ({
    name: 'high',
    revision,
    serial,
    sha256,
    files: new Uint8Array([1, 2, 3]),
  });
  const activate = (sha256: string): StoreEvent => ({
    ...TENANT,
    type: 'bundle',
    payload: { sha256 },
    time: NOW,
  });

  it('come back byte for byte', async () => {
    await store.putBundle(bundle('r1', 'h1'));
    const found = await store.getBundle('h1');
    assert.deepEqual(found && { ...found, files: [...found.files] }, {
      ...bundle('r1', 'h1'),
      files: [1, 2, 3],
      activated_at: null,
      active: false,
    });
    assert.equal(await store.getBundle('h2'), null);
  });

  it('one of a name is active: the last activated, also an older one', async () => {
    await store.putBundle(bundle('r1', 'h1'));
    await store.putBundle(bundle('r2', 'h2', 2));
    await store.appendEvent(activate('h1'));
    await store.appendEvent(activate('h2'));
    await store.appendEvent(activate('h1'));
    const { bundles } = await store.load();
    assert.deepEqual(
      bundles.map(({ sha256, active }) => [sha256, active]),
      [
        ['h1', true],
        ['h2', false],
      ],
    );
  });

  it('refuse another digest under the same revision', async () => {
    await store.putBundle(bundle('r1', 'h1'));
    await store.putBundle(bundle('r1', 'h1'));
    await assert.rejects(store.putBundle(bundle('r1', 'h2')), {
      name: 'StoreConflict',
      code: 'bundle_differs',
    });
  });

  it('are listed by name and serial, without their files', async () => {
    for (const [name, serial] of [['low', 1] as const, ['high', 2] as const, ['high', 1] as const])
      await store.putBundle({ ...bundle(`r${serial}`, `${name}${serial}`, serial), name });
    await store.appendEvent(activate('high1'));
    const [first, ...rest] = await store.listBundles();
    assert.deepEqual(first, {
      sha256: 'high1',
      name: 'high',
      revision: 'r1',
      serial: 1,
      activated_at: NOW,
      active: true,
    });
    assert.deepEqual(
      rest.map(({ sha256 }) => sha256),
      ['high2', 'low1'],
    );
  });

  it('are not activated unseen', async () => {
    await assert.rejects(store.appendEvent(activate('h9')), {
      name: 'StoreConflict',
      code: 'bundle_unknown',
    });
    assert.equal((await store.load()).last.seq, 0);
  });
});
