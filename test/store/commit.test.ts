import assert from 'node:assert/strict';
import { StoreWriteError } from '../../src/store/errors.ts';
import type { Store } from '../../src/store/store.ts';
import {
  commit,
  describeStores,
  idsOf,
  killed,
  NOW,
  newRecord,
  registered,
  type Workspace,
  workspace,
} from './fixture.ts';

const CREATED = NOW / 1000;

describeStores('commit', (workspace) => {
  let at: Workspace;
  beforeEach(() => {
    at = workspace();
  });
  afterEach(() => at.end());

  it('puts what has queued up into few transactions', async () => {
    const store = await at.open();
    const before = await store.stats();
    await Promise.all([
      ...Array.from({ length: 200 }, (_, n) => commit(store, newRecord(`d${n}`))),
      store.appendEvent(registered()),
    ]);
    const after = await store.stats();
    assert.equal(after.writes - before.writes, 201);
    assert.ok(after.transactions - before.transactions <= 20, `${after.transactions} transactions`);
  });

  it('costs only its own request, where one of a group conflicts', async () => {
    const store = await at.open();
    const answers = await Promise.allSettled([
      store.appendEvent(registered()),
      store.appendEvent(registered({ agent_id: 'other' })),
      commit(store, newRecord('d1')),
    ]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
  });

  it('leaves nothing of a request that is alone and cannot be written', async () => {
    const store = await at.open();
    const spent = { keyid: 'k', nonce: 'n', created: NOW / 1000 };
    await assert.rejects(commit(store, newRecord('d1', { nonce: spent }), newRecord('bad', { time: 0.5 })));
    assert.deepEqual((await store.streamRecords('any', 0, 10)).records, []);
    assert.deepEqual((await commit(store, newRecord('d2', { nonce: spent }))).seqs, [1]);
  });

  it('costs only its own request, where one of a group cannot be written', async () => {
    const store = await at.open();
    const answers = await Promise.allSettled([
      commit(store, newRecord('d1')),
      commit(store, newRecord('d2'), newRecord('bad', { time: 0.5 })),
      commit(store, newRecord('d3')),
    ]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.deepEqual(idsOf((await store.streamRecords('any', 0, 10)).records.map(({ line }) => line)), [
      'd1',
      'd3',
    ]);
  });

  it('comes before what is read after it was asked for', async () => {
    const store = await at.open();
    const writing = commit(store, newRecord('d1'));
    assert.equal((await store.recordById('d1', 'any')).length, 1);
    await writing;
  });

  it('keeps nobody from reading, however long the writing goes on', async () => {
    const store = await at.open();
    let reading = true;
    const lane = async () => {
      while (reading) await store.appendEvent(killed());
    };
    const lanes = Promise.all([lane(), lane(), lane()]);
    await store.load();
    reading = false;
    await lanes;
  });

  it('numbers each node by itself', async () => {
    const store = await at.open();
    await commit(store, newRecord('d1'), newRecord('d2'));
    await store.commitRecords({ node: 'n2', lost: 0, records: [newRecord('d3')] });
    const heads = (await store.load()).chains.map(({ node, seq }) => [node, seq]);
    assert.deepEqual(heads, [
      ['n1', 2],
      ['n2', 1],
    ]);
  });

  it('lets a nonce through once, and writes no record for the second', async () => {
    const store = await at.open();
    const nonce = { keyid: 'k', nonce: 'x', created: CREATED };
    const answer = await commit(
      store,
      newRecord('d1', { nonce }),
      newRecord('d2', { nonce }),
      newRecord('d3'),
    );
    assert.deepEqual(answer.seqs, [1, null, 2]);
    assert.deepEqual(await store.recordById('d2', 'any'), []);
  });

  it('remembers nonces over a restart, until created + 90 s', async () => {
    const store = await at.open();
    const nonce = { keyid: 'k', nonce: 'x', created: CREATED };
    await commit(store, newRecord('d1', { nonce }));
    await store.close();
    const young = await at.open({ clock: () => NOW + 89_999 });
    assert.deepEqual((await young.load()).nonces, [nonce]);
    assert.deepEqual((await commit(young, newRecord('d2', { nonce }))).seqs, [null]);
    await young.close();
    const old = await at.open({ clock: () => NOW + 90_000 });
    assert.deepEqual((await old.load()).nonces, []);
    assert.deepEqual((await commit(old, newRecord('d3', { nonce }))).seqs, [2]);
  });

  it('adds up budgets, over a restart too', async () => {
    const use = { lemma_id: 'lem_a', used_delta: 1, expires_at: CREATED + 60 };
    const store = await at.open();
    await commit(store, newRecord('d1', { budget: [use] }), newRecord('d2', { budget: [use] }));
    await store.close();
    const again = await at.open();
    await commit(again, newRecord('d3', { budget: [use, { ...use, lemma_id: 'lem_b' }] }));
    assert.deepEqual((await again.load()).budgets, [
      { lemma_id: 'lem_a', used: 3, expires_at: CREATED + 60 },
      { lemma_id: 'lem_b', used: 1, expires_at: CREATED + 60 },
    ]);
  });

  it('takes out in passing what has expired', async () => {
    let now = NOW;
    const store = await at.open({ clock: () => now });
    const budget = [{ lemma_id: 'lem_a', used_delta: 1, expires_at: CREATED }];
    await commit(store, newRecord('d1', { nonce: { keyid: 'k', nonce: 'x', created: CREATED }, budget }));
    now = NOW + 3_600_000;
    await commit(store, newRecord('d2'));
    now = NOW;
    const { nonces, budgets } = await store.load();
    assert.deepEqual({ nonces, budgets }, { nonces: [], budgets: [] });
  });
});

describe('store: when it cannot write', () => {
  const LIMIT = 400_000;
  let at: Workspace;
  let store: Store;
  beforeEach(async () => {
    at = workspace();
    store = await at.open({ maxBytes: LIMIT });
  });
  afterEach(() => at.end());

  const big = (id: string) =>
    newRecord(id, { members: `"decision_id":"${id}","node":"n1","pad":"${'p'.repeat(50_000)}"` });

  /** Commits until there is room for none more; the number that was kept. */
  async function fill(make = big): Promise<number> {
    for (let n = 0; ; n += 1) {
      try {
        await commit(store, make(`d${n}`));
      } catch (error) {
        assert.ok(error instanceof StoreWriteError);
        assert.equal(error.code, 'SQLITE_FULL');
        return n;
      }
    }
  }

  it('rejects, says so in its health, and keeps what it had', async () => {
    const kept = await fill();
    assert.ok(kept > 2);
    assert.equal(store.health().writable, false);
    assert.match(store.health().error ?? '', /cannot write.*SQLITE_FULL/);
    assert.equal((await store.load()).chains[0]?.seq, kept);
  });

  it('recovers by itself, with no hole in the chain', async () => {
    const kept = await fill();
    await store.limit(null);
    assert.deepEqual((await commit(store, big('after'))).seqs, [kept + 1]);
    assert.deepEqual(store.health(), { writable: true, error: null });
  });

  it('forgets the numbers of records that shared a transaction with one that failed', async () => {
    const kept = await fill();
    const small = Array.from({ length: 20 }, (_, n) => commit(store, newRecord(`s${n}`)));
    const answers = await Promise.allSettled([...small, commit(store, big('d'))]);
    const more = answers.filter(({ status }) => status === 'fulfilled').length;
    assert.ok(more < answers.length);
    await store.limit(null);
    assert.deepEqual((await commit(store, newRecord('after'))).seqs, [kept + more + 1]);
  });

  it('still makes kills durable, also beside records that fail', async () => {
    await fill();
    await fill((id) => newRecord(`small-${id}`));
    const ids = Array.from({ length: 200 }, (_, n) => `bot-${n}`);
    const kills = ids.map((id) => store.appendEvent(killed(id)));
    await assert.rejects(commit(store, big('d')), StoreWriteError);
    await Promise.all(kills);
    await store.close();
    store = await at.open();
    const { unregistered } = await store.load();
    assert.equal(unregistered.filter(({ status }) => status === 'killed').length, ids.length);
  });
});
