import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { StoreClosedError, StoreOpenError } from '../../src/store/errors.ts';
import { migrate, SCHEMA_VERSION } from '../../src/store/migrations.ts';
import { commit, NOW, newRecord, registered, type Workspace, workspace } from './fixture.ts';

describe('store: opening', () => {
  let at: Workspace;
  beforeEach(() => {
    at = workspace();
  });
  afterEach(() => at.end());

  const refusal = (code: string, message: RegExp) => (error: unknown) => {
    assert.ok(error instanceof StoreOpenError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };

  it('makes an empty store, born now', async () => {
    const snapshot = await (await at.open()).load();
    assert.equal(snapshot.birth, NOW);
    assert.deepEqual(snapshot.last, { epoch: NOW, seq: 0 });
    assert.deepEqual(
      [snapshot.runtimes, snapshot.revocations, snapshot.nonces, snapshot.chains],
      [[], [], [], []],
    );
  });

  it('keeps its id and birth over a restart', async () => {
    const first = await at.open();
    const before = await first.load();
    await first.close();
    const after = await (await at.open({ clock: () => NOW + 5000 })).load();
    assert.deepEqual([after.store_id, after.birth], [before.store_id, before.birth]);
    assert.match(after.store_id, /^[\w-]{22}$/);
  });

  it('makes folder and files for the owner only, whatever the umask', async () => {
    const umask = process.umask(0);
    try {
      const store = await at.open();
      await store.appendEvent({ org: 'o', env: 'e', type: 'key', payload: {}, time: NOW });
      const folder = dirname(at.path);
      assert.equal(statSync(folder).mode & 0o777, 0o700);
      const modes = readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mode & 0o777]);
      assert.deepEqual(Object.fromEntries(modes), { 'lemma.db': 0o600, 'lemma.db-wal': 0o600 });
    } finally {
      process.umask(umask);
    }
  });

  it('tightens a database that others could read', async () => {
    await (await at.open()).close();
    chmodSync(at.path, 0o644);
    await at.open();
    assert.equal(statSync(at.path).mode & 0o777, 0o600);
  });

  it('refuses a symlink in place of the database', async () => {
    mkdirSync(dirname(at.path));
    writeFileSync(join(at.folder, 'elsewhere'), '');
    symlinkSync(join(at.folder, 'elsewhere'), at.path);
    await assert.rejects(at.open(), refusal('symlink', /symbolic link; point `data`/));
  });

  it('refuses a symlink in place of the WAL', async () => {
    mkdirSync(dirname(at.path));
    symlinkSync(join(at.folder, 'elsewhere'), `${at.path}-wal`);
    await assert.rejects(at.open(), refusal('symlink', /lemma\.db-wal is a symbolic link/));
  });

  it('refuses a folder in place of the database', async () => {
    mkdirSync(at.path, { recursive: true });
    await assert.rejects(at.open(), refusal('not_a_file', /is not a file/));
  });

  it('refuses a file that is no database', async () => {
    mkdirSync(dirname(at.path));
    writeFileSync(at.path, 'plain text, and more than the hundred bytes of a header: '.repeat(5));
    await assert.rejects(at.open(), refusal('not_ours', /is not a Lemma database/));
  });

  it("refuses another program's database, and leaves it as it was", async () => {
    mkdirSync(dirname(at.path));
    const other = new Sqlite(at.path);
    other.exec('CREATE TABLE cookies (a)');
    other.close();
    await assert.rejects(at.open(), refusal('not_ours', /is not a Lemma database/));
    const tables = new Sqlite(at.path).prepare('SELECT name FROM sqlite_master').pluck().all();
    assert.deepEqual(tables, ['cookies']);
  });

  it('refuses a newer schema', async () => {
    await (await at.open()).close();
    const db = new Sqlite(at.path);
    db.prepare("UPDATE meta SET value = ? WHERE key = 'schema'").run(String(SCHEMA_VERSION + 1));
    db.close();
    await assert.rejects(
      at.open(),
      refusal(
        'newer_schema',
        new RegExp(`schema ${SCHEMA_VERSION + 1}; this one knows up to ${SCHEMA_VERSION}\\): update`),
      ),
    );
  });

  it('keeps spent nonces when it brings an older store up', async () => {
    mkdirSync(dirname(at.path));
    const db = new Sqlite(at.path);
    migrate(db, NOW, 3);
    const spent = { keyid: 'k', nonce: 'n', created: NOW / 1000 };
    db.prepare('INSERT INTO nonces (keyid, nonce, created) VALUES (?, ?, ?)').run(
      spent.keyid,
      spent.nonce,
      spent.created,
    );
    db.close();
    const store = await at.open();
    assert.deepEqual((await store.load()).nonces, [spent]);
    const { seqs } = await commit(store, newRecord('d1', { nonce: spent }));
    assert.deepEqual(seqs, [null]);
  });

  it('migrates a store that stopped before its first step', async () => {
    await (await at.open()).close();
    const db = new Sqlite(at.path);
    for (const name of db
      .prepare<[], string>("SELECT name FROM sqlite_master WHERE type = 'table'")
      .pluck()
      .all()) {
      if (name !== 'meta' && !name.startsWith('sqlite_')) db.exec(`DROP TABLE ${name}`);
    }
    db.prepare("UPDATE meta SET value = '0' WHERE key = 'schema'").run();
    db.close();
    const snapshot = await (await at.open({ clock: () => NOW + 9 })).load();
    assert.equal(snapshot.birth, NOW);
  });

  it('migrates a store of the first schema, and keeps what is in it', async () => {
    const first = await at.open();
    await first.appendEvent(registered());
    await first.close();
    const db = new Sqlite(at.path);
    db.exec(
      "DROP TABLE prunings; DROP TABLE signing_keys; DROP TABLE documents; DROP TABLE record_blocks; ALTER TABLE runtime_states DROP COLUMN revived_epoch; ALTER TABLE runtime_states DROP COLUMN revived_at; UPDATE meta SET value = '1' WHERE key = 'schema'",
    );
    db.close();
    const { runtimes, signing_keys, last } = await (await at.open()).load();
    assert.deepEqual([runtimes.length, signing_keys, last.seq], [1, [], 1]);
  });

  it('refuses a second opening in the same process, and the first goes on', async () => {
    const first = await at.open();
    await assert.rejects(
      at.open(),
      refusal('in_use', /in use by another Lemma process: stop that one first/),
    );
    await first.appendEvent({ org: 'o', env: 'e', type: 'key', payload: {}, time: NOW });
  });

  it('refuses a second process, and lets it in once the first was killed', async () => {
    const holder = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), at.path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(holder.stdout, 'data');
      await assert.rejects(at.open(), refusal('in_use', /in use/));
    } finally {
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    }
    await at.open();
  });

  it('leaves one file behind when it closes', async () => {
    const store = await at.open();
    await store.appendEvent({ org: 'o', env: 'e', type: 'key', payload: {}, time: NOW });
    await store.close();
    assert.deepEqual(readdirSync(dirname(at.path)), ['lemma.db']);
  });

  it('refuses work after close, and closes twice', async () => {
    const store = await at.open();
    await store.close();
    await store.close();
    await assert.rejects(store.load(), StoreClosedError);
  });
});
