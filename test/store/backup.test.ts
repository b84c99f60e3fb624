import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { StoreOpenError } from '../../src/store/errors.ts';
import { SCHEMA_VERSION } from '../../src/store/migrations.ts';
import { openRestoring } from '../../src/store/restore.ts';
import type { Store } from '../../src/store/store.ts';
import {
  BOT,
  commit,
  idsOf,
  killed,
  linesOf,
  NOW,
  newRecord,
  registered,
  TENANT,
  type Workspace,
  workspace,
} from './fixture.ts';

const MARK = { v: 1, ...TENANT, taken_at: NOW } as const;
const PAD = 'p'.repeat(50_000);
const bulky = (id: string) => ({
  ...newRecord(id),
  members: `"decision_id":"${id}","node":"n1","pad":"${PAD}"`,
});
const refusal = (code: string) => (error: unknown) => error instanceof StoreOpenError && error.code === code;

describe('store: a copy of a running one', () => {
  let at: Workspace;
  let store: Store;
  let path: string;
  beforeEach(async () => {
    at = workspace();
    store = await at.open();
    path = join(at.folder, 'data', 'copy.db');
  });
  afterEach(() => at.end());

  async function sealed(): Promise<void> {
    await store.copy(path);
    const copy = await at.open({ path });
    await copy.seal(MARK, []);
    await copy.close();
  }

  async function restored(now = NOW + 5000): Promise<Store> {
    await sealed();
    const restoring = openRestoring(path, now);
    restoring.fence(now);
    restoring.close();
    return at.open({ path, clock: () => now });
  }

  it('has what was committed before it', async () => {
    await store.appendEvent(registered());
    await commit(store, newRecord('d1'), newRecord('d2'));
    const { heads } = await store.copy(path);
    const copy = await at.open({ path });
    assert.deepEqual([await copy.load(), await linesOf(copy)], [await store.load(), await linesOf(store)]);
    assert.deepEqual(heads, (await store.load()).chains);
  });

  it('is made while records are committed, and they do not wait for its end', async () => {
    for (let n = 0; n < 400; n += 1) await commit(store, bulky(`d${n}`));
    let done = false;
    const copying = store.copy(path).finally(() => {
      done = true;
    });
    let during = 0;
    while (!done) {
      await commit(store, newRecord(`during-${during}`));
      if (!done) during += 1;
    }
    const { heads } = await copying;
    const copy = await at.open({ path });
    const ids = idsOf(await linesOf(copy));
    assert.ok(during > 10, `${during} commits`);
    // Whole to the very record whose hash it names, and every one before it.
    assert.equal(heads[0]?.seq, ids.length);
    assert.deepEqual(ids, idsOf(await linesOf(store)).slice(0, ids.length));
    assert.ok(ids.length >= 400 + during - 1);
  });

  it('is for the owner only, and one file once it is sealed', async () => {
    const umask = process.umask(0);
    try {
      await sealed();
    } finally {
      process.umask(umask);
    }
    const names = readdirSync(join(at.folder, 'data')).filter((name) => name.startsWith('copy'));
    assert.deepEqual([names, statSync(path).mode & 0o777], [['copy.db'], 0o600]);
  });

  it('is no store that a service could start on', async () => {
    await sealed();
    await assert.rejects(at.open({ path }), refusal('is_backup'));
  });

  it('is a store again, of a new epoch, once it is restored', async () => {
    const before = await store.load();
    const { birth, last, fenced_at } = await (await restored()).load();
    assert.deepEqual([birth > before.birth, last.epoch, fenced_at], [true, birth, NOW + 5000]);
  });

  it('has a later epoch, also where the clock went back', async () => {
    const before = await store.load();
    assert.ok((await (await restored(NOW - 5000)).load()).last.epoch > before.last.epoch);
  });

  it('says in its events what it was restored from', async () => {
    await store.appendEvent(registered());
    const [, event] = await (await restored()).eventsAfter(0, 10);
    assert.deepEqual(
      [event?.type, event?.seq, event?.epoch, event?.payload],
      ['restore', 2, NOW + 5000, { taken_at: NOW, from_epoch: NOW }],
    );
  });

  it('keeps kills and taint epochs that it has', async () => {
    await store.appendEvent(registered({ taint_epoch: 4 }));
    await store.appendEvent(killed());
    const [runtime] = (await (await restored()).load()).runtimes;
    assert.deepEqual(
      [runtime?.runtime_id, runtime?.status, runtime?.taint_epoch],
      [BOT.runtime_id, 'killed', 4],
    );
  });

  it('retires the keys that signed no more, but for those of checkpoints', async () => {
    for (const use of ['authority', 'bundle', 'checkpoint'] as const) {
      for (const kid of ['old', 'new']) {
        const change = { use, kid, x: kid, to: 'current' } as const;
        await store.appendEvent({ ...TENANT, type: 'key', payload: { change }, time: NOW });
      }
    }
    const { signing_keys } = await (await restored()).load();
    const old = signing_keys.filter(({ kid }) => kid === 'old').map(({ use, status }) => [use, status]);
    assert.deepEqual(old, [
      ['authority', 'retired'],
      ['bundle', 'retired'],
      ['checkpoint', 'previous'],
    ]);
  });

  it('is refused where a newer version wrote it', async () => {
    await sealed();
    const db = new Sqlite(path);
    db.prepare("UPDATE meta SET value = ? WHERE key = 'schema'").run(String(SCHEMA_VERSION + 1));
    db.close();
    assert.throws(() => openRestoring(path, NOW), refusal('newer_schema'));
  });

  it('is not taken for one where it is a store that was copied by hand', async () => {
    await store.close();
    copyFileSync(at.path, path);
    assert.throws(() => openRestoring(path, NOW), refusal('not_ours'));
  });

  it('leaves nothing open when the store closes in its midst', async () => {
    for (let n = 0; n < 100; n += 1) await commit(store, bulky(`d${n}`));
    const copying = store.copy(path).then(
      () => 'done',
      () => 'failed',
    );
    await store.close();
    assert.ok(['done', 'failed'].includes(await copying));
    assert.equal(existsSync(`${at.path}-wal`), false);
  });
});
