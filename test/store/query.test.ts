import assert from 'node:assert/strict';
import { InputError } from '../../src/reason.ts';
import type { RecordQuery } from '../../src/store/model.ts';
import type { Store } from '../../src/store/store.ts';
import { commit, describeStores, idsOf, NOW, newRecord, TENANT, type Workspace } from './fixture.ts';

describeStores('reading records', (workspace) => {
  let at: Workspace;
  let store: Store;
  before(async () => {
    at = workspace();
    store = await at.open();
    await commit(
      store,
      newRecord('d1', { time: NOW + 10 }),
      newRecord('d2', { time: NOW + 20, verdict: 'deny', reason: 'revoked' }),
      newRecord('d3', { time: NOW + 30, runtime_id: 'bot-2', agent_id: 'b2', subject: 'did:b2' }),
      newRecord('d4', { time: NOW + 20, route: 'documents.write', workspace_id: 'w2' }),
      newRecord('evil', { org: 'evil', time: NOW + 20 }),
      newRecord('d1', { time: NOW + 40, verdict: 'deny', reason: 'runtime_killed' }),
    );
  });
  after(() => at.end());

  async function ask(query: Partial<RecordQuery>): Promise<string[]> {
    const page = await store.queryRecords({ ...TENANT, order: 'asc', limit: 100, ...query });
    assert.equal(page.next_cursor, null);
    return idsOf(page.lines);
  }

  it('in the order of time, of one tenant', async () => {
    assert.deepEqual(await ask({}), ['d1', 'd2', 'd4', 'd3', 'd1']);
    assert.deepEqual(await ask({ order: 'desc' }), ['d1', 'd3', 'd4', 'd2', 'd1']);
    assert.deepEqual(await ask({ org: 'evil' }), ['evil']);
  });

  const filters: [Partial<RecordQuery>, string[]][] = [
    [{ runtime_id: 'bot-2' }, ['d3']],
    [{ agent_id: 'b2' }, ['d3']],
    [{ subject: 'did:b2' }, ['d3']],
    [{ workspace_id: 'w2' }, ['d4']],
    [{ route: 'documents.write' }, ['d4']],
    [{ verdict: 'deny' }, ['d2', 'd1']],
    [{ reason: 'revoked' }, ['d2']],
    [{ since: NOW + 20 }, ['d2', 'd4', 'd3', 'd1']],
    [{ until: NOW + 20 }, ['d1']],
    [{ since: NOW + 20, until: NOW + 40, verdict: 'allow', runtime_id: 'bot-1' }, ['d4']],
    [{ reason: "x' OR 1=1 --" }, []],
  ];
  for (const [query, ids] of filters) {
    it(`by ${JSON.stringify(query)}`, async () => assert.deepEqual(await ask(query), ids));
  }

  for (const order of ['asc', 'desc'] as const) {
    it(`page by page, each once (${order})`, async () => {
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await store.queryRecords({
          ...TENANT,
          order,
          limit: 2,
          ...(cursor !== undefined && { cursor }),
        });
        assert.ok(page.lines.length <= 2);
        seen.push(...idsOf(page.lines));
        cursor = page.next_cursor ?? undefined;
      } while (cursor !== undefined);
      assert.deepEqual(seen, await ask({ order }));
    });
  }

  it('refuses a cursor that is none and a limit out of range', async () => {
    const query = { ...TENANT, order: 'asc', limit: 10 } as const;
    await assert.rejects(store.queryRecords({ ...query, cursor: 'x' }), InputError);
    await assert.rejects(
      store.queryRecords({ ...query, limit: 0 }),
      /limit: must be a whole number from 1 to 1000/,
    );
    await assert.rejects(store.streamRecords('any', 0, 1001), InputError);
  });

  it('by decision: all its lines, the verdict last, and none of another tenant', async () => {
    const lines = await store.recordById('d1', TENANT);
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { seq: number }).seq),
      [1, 6],
    );
    assert.deepEqual(await store.recordById('evil', TENANT), []);
    assert.equal((await store.recordById('evil', 'any')).length, 1);
  });

  it('as a stream in the order of commit', async () => {
    const all = await store.streamRecords('any', 0, 4);
    assert.deepEqual(idsOf(all.records.map(({ line }) => line)), ['d1', 'd2', 'd3', 'd4']);
    assert.deepEqual([all.next, all.done], [4, false]);
    const rest = await store.streamRecords(TENANT, all.next, 4);
    assert.deepEqual(idsOf(rest.records.map(({ line }) => line)), ['d1']);
    assert.deepEqual([rest.next, rest.done], [6, true]);
  });

  it('as a stream of those that pass filters, with what they are found by', async () => {
    const { records, next, done } = await store.followRecords(TENANT, { verdict: 'deny' }, 0, 10);
    const found = records.map(({ line, ...index }) => [...idsOf([line]), index]);
    const { members: _, nonce, budget, ...index } = newRecord('d2', { verdict: 'deny', reason: 'revoked' });
    assert.deepEqual(found[0], ['d2', { ...index, time: NOW + 20, position: 2, node: 'n1', seq: 2 }]);
    assert.deepEqual([found.length, next, done], [2, 6, true]);
  });

  const followed: [Parameters<Store['followRecords']>[1], string[]][] = [
    [{}, ['d1', 'd2', 'd3', 'd4', 'd1']],
    [{ since: NOW + 30 }, ['d3', 'd1']],
    [{ since: NOW + 40, agent_id: 'bot' }, ['d1']],
    [{ route: 'documents.write', workspace_id: 'w2' }, ['d4']],
    [{ runtime_id: 'nobody' }, []],
  ];
  for (const [filters, ids] of followed) {
    it(`as a stream by ${JSON.stringify(filters)}, one after another`, async () => {
      const seen: string[] = [];
      for (let after = 0, done = false; !done; ) {
        const page = await store.followRecords(TENANT, filters, after, 1);
        seen.push(...idsOf(page.records.map(({ line }) => line)));
        ({ next: after, done } = page);
      }
      assert.deepEqual(seen, ids);
    });
  }

  it('finds what is rare in a log longer than one step looks at', async () => {
    const far = workspace();
    try {
      const long = await far.open();
      const many = Array.from({ length: 5000 }, (_, n) => newRecord(`m${n}`, { time: NOW + n }));
      for (let round = 0; round < 9; round += 1) await commit(long, ...many);
      await commit(long, newRecord('needle', { time: NOW + 9999, reason: 'revoked' }));
      const query = { ...TENANT, order: 'asc', limit: 10, reason: 'revoked' } as const;
      const found = await long.queryRecords(query);
      assert.deepEqual([idsOf(found.lines), found.next_cursor], [['needle'], null]);
      const none = await long.queryRecords({ ...query, order: 'desc', reason: 'nothing' });
      assert.deepEqual(none, { lines: [], next_cursor: null });
      const step = await long.followRecords(TENANT, { reason: 'revoked' }, 0, 10);
      assert.deepEqual([step.records, step.done], [[], false]);
      const rest = await long.followRecords(TENANT, { reason: 'revoked' }, 44_000, 10);
      assert.deepEqual([rest.records.length, rest.next, rest.done], [1, 45_001, true]);
    } finally {
      await far.end();
    }
  });

  it('all checkpoints, more than a page, by node and record', async () => {
    const sign = (node: string, seq: number) =>
      store.putCheckpoint({ v: 1, node, seq, hash: 'h', time: NOW, keyid: 'k', signature: 's' });
    await Promise.all(Array.from({ length: 1001 }, (_, n) => sign('n1', n + 1)));
    await sign('n0', 5);
    assert.deepEqual(
      (await store.checkpoints('n0')).map(({ seq }) => seq),
      [5],
    );
    const all = await store.checkpoints();
    assert.deepEqual([all.length, all[0]?.node, all.at(-1)?.seq], [1002, 'n0', 1001]);
  });
});
