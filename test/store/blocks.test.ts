import assert from 'node:assert/strict';
import Sqlite from 'better-sqlite3';
import { BLOCK_RECORDS, blockWriter, candidates, FILTERS } from '../../src/store/blocks.ts';
import { openDatabase } from '../../src/store/database.ts';
import type { NewRecord, RecordQuery } from '../../src/store/model.ts';
import type { Store } from '../../src/store/store.ts';
import { randomOf } from '../support/random.ts';
import { describeStores, idsOf, NOW, newRecord, TENANT, type Workspace, workspace } from './fixture.ts';

const RECORDS = 9000;
const BATCH = 700;

/** Many runtimes, a few reasons and routes, other tenants between; times that go back now and then. */
function records(seed: number): NewRecord[] {
  const pick = randomOf(seed);
  let time = NOW;
  return Array.from({ length: RECORDS }, (_, n) => {
    const who = pick(400);
    time += pick(3);
    const denied = pick(100) < 5;
    return newRecord(`d${n}`, {
      time: pick(100) < 1 ? time - pick(4000) : time,
      ...(pick(10) < 1 && { env: 'test' }),
      runtime_id: `r${who}`,
      agent_id: pick(100) < 2 ? null : `a${who % 40}`,
      workspace_id: `w${who % 7}`,
      subject: `s${who % 60}`,
      verdict: denied ? 'deny' : 'allow',
      reason: denied ? (pick(10) < 1 ? 'replay_detected' : 'scope_denied') : 'allowed',
      route: n % 4000 === 1 ? 'rare' : `route${n % 3}`,
    });
  });
}

const all = records(7);
const seqOf = new Map(all.map(({ decision_id }, index) => [decision_id, index + 1]));

async function ask(store: Store, query: Partial<RecordQuery>, limit: number): Promise<string[]> {
  const found: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await store.queryRecords({
      ...TENANT,
      order: 'desc',
      ...query,
      limit,
      ...(cursor !== undefined && { cursor }),
    });
    assert.ok(page.lines.length <= limit);
    found.push(...idsOf(page.lines));
    if (page.next_cursor === null) return found;
    cursor = page.next_cursor;
  }
}

/** The same by looking at each. Positions are those of `seqOf`: the store is new. */
function expected({ order = 'desc', since, until, after = 0, up_to, ...query }: Partial<RecordQuery>) {
  const tenant = { ...TENANT, ...query };
  const position = ({ decision_id }: NewRecord) => seqOf.get(decision_id) ?? 0;
  const passing = all.filter(
    (record) =>
      record.org === tenant.org &&
      record.env === tenant.env &&
      FILTERS.every((filter) => query[filter] === undefined || record[filter] === query[filter]) &&
      record.time >= (since ?? 0) &&
      record.time < (until ?? Number.MAX_SAFE_INTEGER) &&
      position(record) > after &&
      position(record) <= (up_to ?? Number.MAX_SAFE_INTEGER),
  );
  passing.sort((a, b) => a.time - b.time || position(a) - position(b));
  return (order === 'asc' ? passing : passing.reverse()).map(({ decision_id }) => decision_id);
}

describeStores('rare filters over a long log', (workspace) => {
  let at: Workspace;
  let store: Store;

  before(async () => {
    at = workspace();
    store = await at.open();
    for (let from = 0; from < all.length; from += BATCH) {
      await store.commitRecords({ node: 'n1', lost: 0, records: all.slice(from, from + BATCH) });
      // What no block has yet is known after a restart too.
      if (from % (5 * BATCH) === 0) {
        await store.close();
        store = await at.open();
      }
    }
  });
  after(() => at.end());

  const queries: Partial<RecordQuery>[] = [
    { runtime_id: 'r17' },
    { runtime_id: 'r17', env: 'test' },
    { runtime_id: 'nobody' },
    { agent_id: 'a3', verdict: 'deny' },
    { agent_id: 'a3', reason: 'scope_denied' },
    { agent_id: 'a3', reason: 'allowed' },
    { subject: 's9', workspace_id: 'w2' },
    { reason: 'replay_detected' },
    { reason: 'replay_detected', verdict: 'allow' },
    { route: 'rare' },
    { route: 'rare', since: NOW + 2000, until: NOW + 6000 },
    { verdict: 'deny' },
    { runtime_id: 'r17', after: 3000, up_to: 7000 },
    { after: 8500 },
    { runtime_id: 'r3', since: NOW + 4000, after: 100 },
  ];
  for (const query of queries)
    for (const order of ['asc', 'desc'] as const)
      for (const limit of [3, 1000])
        it(`${JSON.stringify(query)}, ${order}, pages of ${limit}`, async () => {
          assert.deepEqual(await ask(store, { ...query, order }, limit), expected({ ...query, order }));
        });

  it('finds nothing double and nothing missing after a request that failed half-way', async () => {
    const good = (id: string) => newRecord(id, { runtime_id: 'torn', time: NOW + 100_000 });
    const bad = { ...good('bad'), time: 1.5 };
    await assert.rejects(
      store.commitRecords({
        node: 'n1',
        lost: 0,
        records: [...Array.from({ length: 600 }, (_, n) => good(`x${n}`)), bad],
      }),
    );
    const kept = Array.from({ length: 600 }, (_, n) => good(`y${n}`));
    await store.commitRecords({ node: 'n1', lost: 0, records: kept });
    const found = await ask(store, { runtime_id: 'torn', order: 'asc' }, 1000);
    assert.deepEqual(
      found,
      kept.map(({ decision_id }) => decision_id),
    );
  });

  it('are counted by verdict, reason and runtime, the latest first', async () => {
    const range = { since: 0, until: NOW * 2, upTo: RECORDS, entries: 100_000 };
    const { counts, whole } = await store.countRecords(TENANT, range);
    const denied = counts
      .filter(({ verdict }) => verdict === 'deny')
      .reduce((sum, { count }) => sum + count, 0);
    assert.deepEqual([whole, denied], [true, expected({ verdict: 'deny' }).length]);
    assert.equal((await store.countRecords(TENANT, { ...range, entries: 10 })).whole, false);
  });

  it('are counted up to a position', async () => {
    const range = { since: 0, until: NOW * 2, upTo: 100, entries: 100_000 };
    const { counts } = await store.countRecords(TENANT, range);
    const sum = counts.reduce((total, { count }) => total + count, 0);
    assert.equal(sum, expected({ up_to: 100 }).length);
  });
});

describe('store: rare filters', () => {
  it('are answered over a log of the time before there were blocks', async () => {
    const old = workspace();
    try {
      const first = await old.open();
      await first.commitRecords({ node: 'n1', lost: 0, records: all.slice(0, 6000) });
      await first.close();
      const db = new Sqlite(old.path);
      db.exec("DROP TABLE record_blocks; UPDATE meta SET value = value - 2 WHERE key = 'schema'");
      db.close();
      const migrated = await old.open();
      await migrated.commitRecords({ node: 'n1', lost: 0, records: all.slice(6000) });
      assert.deepEqual(await ask(migrated, { runtime_id: 'r17' }, 3), expected({ runtime_id: 'r17' }));
    } finally {
      await old.end();
    }
  });

  it('are answered over blocks whose filters another hash made', async () => {
    const old = workspace();
    try {
      const first = await old.open();
      await first.commitRecords({ node: 'n1', lost: 0, records: all.slice(0, 6000) });
      await first.close();
      const db = new Sqlite(old.path);
      db.exec(
        "UPDATE record_blocks SET bits = zeroblob(64); UPDATE meta SET value = value - 1 WHERE key = 'schema'",
      );
      db.close();
      const migrated = await old.open();
      await migrated.commitRecords({ node: 'n1', lost: 0, records: all.slice(6000) });
      assert.deepEqual(await ask(migrated, { runtime_id: 'r17' }, 3), expected({ runtime_id: 'r17' }));
    } finally {
      await old.end();
    }
  });

  it('look into few blocks for a name that is like those that are there', () => {
    const at = workspace();
    const db = openDatabase(at.path, NOW);
    try {
      const blocks = blockWriter(db);
      const like = (n: number) => ({ runtime_id: `runtime-${n}`, agent_id: `agent-${n % 500}` });
      for (let n = 0; n < 8 * BLOCK_RECORDS; n++)
        blocks.add(newRecord(`d${n}`, { ...like(n), time: NOW + n }), n + 1);
      blocks.keep();
      const range = { from: NOW, to: NOW + 8 * BLOCK_RECORDS };
      const seeming = Array.from({ length: 400 }, (_, n) => {
        const query = { ...TENANT, order: 'asc', runtime_id: `stranger-${n}` } as const;
        const spans = candidates(db, query, range, blocks)?.spans ?? [];
        return spans.reduce((sum, span) => sum + span.blocks, 0);
      });
      const sum = seeming.reduce((total, count) => total + count, 0);
      // Of 3,200: at 10 bits a value, the name itself and no pair with it, 1.2 % is what such a filter gives.
      assert.ok(sum < 100, `${sum} blocks`);
      // Were bits at the same places in each, some names would seem to be in half of them.
      assert.ok(Math.max(...seeming) <= 2, `${Math.max(...seeming)} of 8 blocks for one name`);
    } finally {
      db.close();
      void at.end();
    }
  });
});
