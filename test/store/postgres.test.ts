import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { verifyChain } from '../../src/decision-log/verify.ts';
import { StoreOpenError, StoreReadError, StoreWriteError } from '../../src/store/errors.ts';
import { openPostgres, type PostgresOptions } from '../../src/store/postgres/store.ts';
import type { Store } from '../../src/store/store.ts';
import { certificateAuthority, needOpenssl } from '../support/certificates.ts';
import { needPostgres, type Postgres, startPostgres } from '../support/postgres.ts';
import {
  addressOf,
  BOT,
  commit,
  idsOf,
  killed,
  linesOf,
  NOW,
  newRecord,
  registered,
  TENANT,
} from './fixture.ts';

const refusal = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StoreOpenError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds()));
}

/** Stores over one database, closed at the end. */
function opener(url: () => string) {
  const stores: Store[] = [];
  return {
    async open(options: Partial<PostgresOptions> = {}): Promise<Store> {
      const store = await openPostgres({
        address: addressOf(url()),
        node: 'n1',
        clock: () => NOW,
        ...options,
      });
      stores.push(store);
      return store;
    },
    close: () => Promise.all(stores.splice(0).map((store) => store.close())),
  };
}

describe('store, PostgreSQL', () => {
  let server: Postgres;
  let url: string;
  const { open, close } = opener(() => url);
  before(async function () {
    server = await needPostgres(this);
  });
  beforeEach(async () => {
    url = await server.database();
  });
  afterEach(async () => {
    await close();
    await server.drop(url);
  });

  async function query(text: string): Promise<Record<string, unknown>[]> {
    const client = new pg.Client(url);
    await client.connect();
    const { rows } = await client.query<Record<string, unknown>>(text).finally(() => client.end());
    return rows;
  }

  describe('opening', () => {
    it('keeps its id and birth over a restart', async () => {
      const before = await (await open()).load();
      await close();
      const after = await (await open({ clock: () => NOW + 5000 })).load();
      assert.deepEqual([after.store_id, after.birth], [before.store_id, NOW]);
    });

    it('puts its tables into the schema that is named, and nowhere else', async () => {
      url += '?schema=authz';
      await open();
      const schemas = await query(
        "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
      );
      assert.deepEqual(schemas, [{ schemaname: 'authz' }]);
    });

    it('is done once by nodes that start together', async () => {
      const nodes = ['n1', 'n2', 'n3', 'n4'];
      const stores = await Promise.all(nodes.map((node) => open({ node })));
      const ids = await Promise.all(stores.map(async (store) => (await store.load()).store_id));
      assert.equal(new Set(ids).size, 1);
    });

    it('refuses a second process of the same node, and the first goes on', async () => {
      const first = await open();
      await assert.rejects(open(), refusal('in_use', /as node n1: stop that one first/));
      await commit(first, newRecord('d1'));
    });

    it('takes a node again once its process has closed', async () => {
      await open();
      await close();
      await open();
    });

    it('refuses a newer schema', async () => {
      await open();
      await close();
      await query("UPDATE lemma.meta SET value = '999' WHERE key = 'schema'");
      await assert.rejects(open(), refusal('newer_schema', /schema 999; this one knows up to \d+\): update/));
    });

    it('brings a store of the first schema up, and keeps what is in it', async () => {
      const first = await open();
      await first.appendEvent(registered());
      await first.appendEvent(killed());
      await close();
      await query(
        `ALTER TABLE lemma.runtime_states DROP COLUMN revived_epoch, DROP COLUMN revived_at;
         ALTER TABLE lemma.revocations DROP CONSTRAINT revocations_kind_check,
           ADD CONSTRAINT revocations_kind_check CHECK (kind IN ('lemma', 'key'));
         UPDATE lemma.meta SET value = '1' WHERE key = 'schema'`,
      );
      const store = await open();
      const { runtime_id } = BOT;
      const revoked = { kind: 'subject', value: 'did:x' } as const;
      await store.appendEvent({ ...TENANT, type: 'revoke', payload: revoked, time: NOW });
      const back = { runtime_id, taint_epoch: 1 };
      await store.appendEvent({ ...TENANT, type: 'reactivate', payload: back, time: NOW });
      const { runtimes, revocations } = await store.load();
      assert.deepEqual(
        [runtimes.map(({ revived }) => revived), revocations],
        [[{ taint_epoch: 1, at: NOW }], [{ ...TENANT, ...revoked }]],
      );
    });

    it("refuses somebody else's schema, and leaves it as it was", async () => {
      await query('CREATE SCHEMA lemma CREATE TABLE cookies (a int)');
      await assert.rejects(open(), refusal('not_ours', /is not Lemma's: name another one/));
      const tables = await query("SELECT tablename FROM pg_tables WHERE schemaname = 'lemma'");
      assert.deepEqual(tables, [{ tablename: 'cookies' }]);
    });

    it('refuses a wrong password, and shows none', async () => {
      url = url.replace(/:[^:@]*@/, ':letmein@');
      await assert.rejects(open(), (error) => {
        assert.doesNotMatch(String(error), /letmein/);
        return refusal('unusable', /change user or password in `store`/)(error);
      });
    });

    it('says where it found nobody', async () => {
      url = 'postgres://lemma@127.0.0.1:1/lemma';
      await assert.rejects(open(), refusal('unusable', /127\.0\.0\.1:1\/lemma: .*; start PostgreSQL/));
    });

    it('does not go without TLS to a server that has none, where TLS is asked for', async () => {
      url += '?sslmode=require';
      await assert.rejects(open(), refusal('unusable', /does not support SSL/));
    });
  });

  describe('with several nodes', () => {
    const NODES = ['n1', 'n2', 'n3'];

    it('keeps each chain whole, and the stream in an order without holes behind a reader', async () => {
      const stores = await Promise.all(NODES.map((node) => open({ node })));
      let writing = true;
      const written = Promise.all(
        stores.map(async (store, index) => {
          const node = NODES[index] ?? '';
          for (let n = 0; n < 40; n += 1) {
            const records = [1, 2, 3].map((part) => ({
              ...newRecord(`${node}-${n}-${part}`),
              members: `"decision_id":"${node}-${n}-${part}","node":"${node}"`,
            }));
            await store.commitRecords({ node, lost: 0, records });
          }
        }),
      ).finally(() => {
        writing = false;
      });
      const [reader] = stores;
      assert.ok(reader);
      const seen: string[] = [];
      let after = 0;
      for (let done = false; !done || writing; ) {
        const page = await reader.streamRecords('any', after, 50);
        seen.push(...page.records.map(({ line }) => line));
        after = page.next;
        done = page.done;
      }
      await written;
      for (;;) {
        const page = await reader.streamRecords('any', after, 1000);
        seen.push(...page.records.map(({ line }) => line));
        after = page.next;
        if (page.done) break;
      }
      assert.equal(seen.length, 360);
      assert.deepEqual((await verifyChain(seen, [])).faults, []);
    });

    it('numbers events in one order, which a reader sees without gaps', async () => {
      const stores = await Promise.all(NODES.map((node) => open({ node })));
      let last = 0;
      const seen: number[] = [];
      const writing = stores.map(async (store, index) => {
        for (let n = 0; n < 30; n += 1) await store.appendEvent(killed(`bot-${index}-${n}`));
      });
      const [reader] = stores;
      assert.ok(reader);
      while (seen.length < 90) {
        const events = await reader.eventsAfter(last, 100);
        seen.push(...events.map(({ seq }) => seq));
        last = seen.at(-1) ?? 0;
      }
      await Promise.all(writing);
      assert.deepEqual(
        seen,
        Array.from({ length: 90 }, (_, n) => n + 1),
      );
    });

    it('waits for none of them that stands still in the midst of a transaction', async () => {
      const store = await open({ node: 'n2' });
      const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), url], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      try {
        await once(child.stdout, 'data');
        child.stdout.resume();
        await until(async () => {
          child.kill('SIGSTOP');
          const [found] = await query(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'lemma n1' AND state = 'idle in transaction'",
          );
          if (found?.n !== '0') return true;
          child.kill('SIGCONT');
          return false;
        });
        await store.appendEvent(killed());
      } finally {
        child.kill('SIGKILL');
        await exited;
      }
      assert.equal((await store.load()).unregistered[0]?.status, 'killed');
    });

    it('lets a nonce through on one of them', async () => {
      const nonce = { keyid: 'k', nonce: 'x', created: NOW / 1000 };
      const stores = await Promise.all(NODES.map((node) => open({ node })));
      const answers = await Promise.all(
        stores.map((store, index) =>
          store.commitRecords({ node: NODES[index] ?? '', lost: 0, records: [newRecord('d', { nonce })] }),
        ),
      );
      assert.deepEqual(answers.flatMap(({ seqs }) => seqs).sort(), [1, null, null]);
    });

    it('adds up a budget that all of them spend', async () => {
      const budget = [{ lemma_id: 'lem_a', used_delta: 1, expires_at: NOW }];
      const stores = await Promise.all(NODES.map((node) => open({ node })));
      await Promise.all(
        stores.flatMap((store, index) =>
          [1, 2, 3, 4].map(() =>
            store.commitRecords({ node: NODES[index] ?? '', lost: 0, records: [newRecord('d', { budget })] }),
          ),
        ),
      );
      const [first] = stores;
      assert.equal((await first?.load())?.budgets[0]?.used, 12);
    });
  });

  describe('near log.max_bytes', () => {
    // What is compressed takes less than it says.
    const big = (id: string) => {
      const pad = randomBytes(15_000).toString('base64url');
      return newRecord(id, { members: `"decision_id":"${id}","node":"n1","pad":"${pad}"` });
    };
    const full = (error: unknown) => error instanceof StoreWriteError && error.code === 'STORE_FULL';
    let store: Store;
    beforeEach(async () => {
      store = await open();
      const { used } = await store.size();
      await store.limit(used + 200_000);
    });

    async function fill(): Promise<void> {
      for (let n = 0; n < 100; n += 1) await commit(store, big(`d${n}`));
    }

    it('takes no more records', async () => {
      await assert.rejects(fill(), full);
    });

    it('still makes kills durable, in the same group', async () => {
      await assert.rejects(fill(), full);
      const [kill, record] = await Promise.allSettled([
        store.appendEvent(killed()),
        commit(store, newRecord('d')),
      ]);
      assert.deepEqual([kill.status, record.status], ['fulfilled', 'rejected']);
    });

    it('recovers by itself, with no hole in the chain', async () => {
      await assert.rejects(fill(), full);
      await store.limit(null);
      await commit(store, newRecord('after'));
      assert.deepEqual((await verifyChain(await linesOf(store), [])).faults, []);
      assert.deepEqual(store.health(), { writable: true, error: null });
    });

    it('has room again when records go, though the files stay', async () => {
      await store.limit(null);
      await fill();
      const { used } = await store.size();
      await store.putPruning({ v: 1, node: 'n1', seq: 99, hash: 'h', time: NOW, keyid: 'k', signature: 's' });
      while ((await store.removePruned('n1', 50)) > 0);
      assert.ok((await store.size()).used < used / 2);
    });
  });

  it('is not copied: it says what is for that', async () => {
    const store = await open();
    await assert.rejects(
      store.copy('/nowhere'),
      (error) => error instanceof StoreReadError && /pg_dump/.test(error.message),
    );
  });

  it('costs only its own request, where one of a mixed group cannot be written', async () => {
    const store = await open();
    const answers = await Promise.allSettled([
      store.appendEvent(registered()),
      store.appendEvent({ ...TENANT, type: 'key', payload: {}, time: 0.5 }),
      commit(store, newRecord('d1')),
      commit(store, newRecord('bad', { time: 0.5 })),
      store.appendEvent(killed()),
    ]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'],
    );
  });
});

describe('store, PostgreSQL that goes away', function () {
  // A server that crashed looks through its log before it takes anyone in again.
  this.timeout(60_000);
  let server: Postgres | undefined;
  let url: string;
  const { open, close } = opener(() => url);
  // A server of its own, whose commits are on disk.
  before(async function () {
    await needPostgres(this);
    server = await startPostgres({ durable: true });
  });
  beforeEach(async () => {
    url = (await server?.database()) ?? '';
  });
  afterEach(close);
  after(() => server?.stop());

  it('fails writes while it is away, and goes on by itself', async () => {
    const store = await open();
    await commit(store, newRecord('before'));
    await server?.crash();
    await assert.rejects(commit(store, newRecord('away')), StoreWriteError);
    assert.equal(store.health().writable, false);
    await assert.rejects(store.load(), StoreReadError);
    await server?.start();
    await until(() =>
      commit(store, newRecord('after')).then(
        () => true,
        () => false,
      ),
    );
    assert.deepEqual(idsOf(await linesOf(store)), ['before', 'after']);
    assert.deepEqual(store.health(), { writable: true, error: null });
  });

  it('keeps every record, nonce and kill that was acknowledged, in a whole chain, whenever it crashes', async () => {
    const store = await open();
    const acknowledged: string[] = [];
    let lastAcknowledged = Promise.withResolvers<void>();
    let writing = true;
    const lanes = Array.from({ length: 8 }, async (_, lane) => {
      for (let n = 0; writing; n += 1) {
        const id = `d-${lane}-${n}`;
        const nonce = { keyid: 'k', nonce: id, created: NOW / 1000 };
        await Promise.all([
          commit(store, newRecord(id, { nonce })).then(() => acknowledged.push(id)),
          store.appendEvent(killed(id)).then(() => acknowledged.push(`kill ${id}`)),
        ]).catch((error) => assert.ok(error instanceof StoreWriteError, String(error)));
        lastAcknowledged.resolve();
      }
    });
    for (let round = 0; round < 3; round += 1) {
      const enough = acknowledged.length + 200;
      while (acknowledged.length < enough) {
        lastAcknowledged = Promise.withResolvers<void>();
        await lastAcknowledged.promise;
      }
      await server?.crash();
      await server?.start();
    }
    writing = false;
    await Promise.all(lanes);
    await until(() =>
      commit(store, newRecord('last')).then(
        () => true,
        () => false,
      ),
    );
    const lines = await linesOf(store);
    const { unregistered, nonces } = await store.load();
    const kept = new Set([...idsOf(lines), ...unregistered.map(({ runtime_id }) => `kill ${runtime_id}`)]);
    assert.deepEqual(
      acknowledged.filter((id) => !kept.has(id)),
      [],
    );
    assert.deepEqual((await verifyChain(lines, [])).faults, []);
    assert.equal(nonces.length, lines.length - 1);
  });

  it('knows what a process had acknowledged that was killed', async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const acknowledged: string[] = [];
    for await (const id of createInterface({ input: child.stdout })) {
      acknowledged.push(id);
      if (acknowledged.length === 300) child.kill('SIGKILL');
    }
    await exited;
    const lines = await linesOf(await open({ clock: Date.now }));
    const kept = new Set(idsOf(lines));
    assert.deepEqual(
      acknowledged
        .filter((id) => /^d-\d+-\d+$/.test(id))
        .slice(0, 300)
        .filter((id) => !kept.has(id)),
      [],
    );
    assert.deepEqual((await verifyChain(lines, [])).faults, []);
  });
});

describe('store, PostgreSQL with TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-pg-tls-'));
  let server: Postgres | undefined;
  let url: string;
  let ca: string;
  let stranger: string;
  const { open, close } = opener(() => url);
  before(async function () {
    needOpenssl(this);
    await needPostgres(this);
    const authority = certificateAuthority(folder);
    ca = authority.cert;
    stranger = certificateAuthority(folder, 'stranger').cert;
    server = await startPostgres({ tls: authority.issue('server', { names: ['IP:127.0.0.1'] }) });
  });
  beforeEach(async () => {
    url = (await server?.database()) ?? '';
  });
  afterEach(close);
  after(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is believed by certificate and name', async () => {
    url += `?sslmode=verify-full&sslrootcert=${ca}`;
    await (await open()).load();
  });

  it('is not believed under another name', async () => {
    url = `${url.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslrootcert=${ca}`;
    await assert.rejects(open(), refusal('unusable', /does not match certificate/));
  });

  it('may have another name where only the certificate counts', async () => {
    url = `${url.replace('127.0.0.1', 'localhost')}?sslmode=verify-ca&sslrootcert=${ca}`;
    await (await open()).load();
  });

  it('is not believed with a certificate of somebody else', async () => {
    url += `?sslmode=verify-ca&sslrootcert=${stranger}`;
    await assert.rejects(open(), refusal('unusable', /certificate/));
  });
});
