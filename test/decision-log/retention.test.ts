import assert from 'node:assert/strict';
import Sqlite from 'better-sqlite3';
import { publicKeyOf, signEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { signPruning } from '../../src/decision-log/checkpoint.ts';
import { provenLines } from '../../src/decision-log/export.ts';
import { openLog } from '../../src/decision-log/log.ts';
import {
  type Cut,
  createRetention,
  type Retention,
  type RetentionOptions,
} from '../../src/decision-log/retention.ts';
import { verifyChain } from '../../src/decision-log/verify.ts';
import { vouch } from '../../src/decision-log/vouch.ts';
import type { Store } from '../../src/store/store.ts';
import { NOW, newRecord, TENANT, type Workspace, workspace } from '../store/fixture.ts';
import { recordBody } from './fixture.ts';

const SEED = new Uint8Array(32).fill(7);
const KEYS = new Map([['node-key', publicKeyOf(SEED)]]);
const HOUR = 3_600_000;
const KEEP = 24 * HOUR;
const key = () => ({
  keyid: 'node-key',
  sign: (bytes: Uint8Array) => toBase64url(signEd25519(bytes, SEED)),
});

describe('decision-log: retention', () => {
  let at: Workspace;
  let store: Store;
  let now: number;
  let cuts: Cut[];
  let errors: unknown[];
  let full: number;
  beforeEach(async () => {
    at = workspace();
    now = NOW;
    cuts = [];
    errors = [];
    full = 0;
    store = await at.open({ clock: () => now });
  });
  afterEach(() => at.end());

  function retention(over: Partial<RetentionOptions> = {}): Retention {
    return createRetention({
      store,
      key,
      trusted: () => KEYS,
      clock: () => now,
      keepMs: () => KEEP,
      whenFull: () => 'deny',
      onPruned: (cut) => cuts.push(cut),
      onFull: () => {
        full += 1;
      },
      onError: (error) => errors.push(error),
      rest: 0,
      ...over,
    });
  }

  /** `count` records at the clock's time, with a checkpoint after them; the clock then goes on by an hour. */
  async function span(count: number, node = 'n1', pad = ''): Promise<void> {
    const log = openLog({ store, node, key, clock: () => now });
    for (let n = 0; n < count; n += 1) {
      const body = recordBody({ decision_id: `${node}-${now}-${n}`, node, time: now });
      await log.append(body, { durable: true, inputJson: `"${pad}"` });
    }
    await log.close();
    now += HOUR;
  }

  async function lines(): Promise<string[]> {
    const all: string[] = [];
    for await (const { line } of provenLines(store, 'any')) all.push(line);
    return all;
  }

  const verify = async () => verifyChain(await lines(), [], KEYS, { complete: true });
  const kept = async (node = 'n1') => {
    const chain = (await verify()).chains.find((one) => one.node === node);
    return [chain?.first, chain?.last];
  };

  /** Changes the closed database by hand, and opens it again. */
  async function tamper(sql: string): Promise<void> {
    await store.close();
    const db = new Sqlite(at.path);
    db.exec(sql);
    db.close();
    store = await at.open({ clock: () => now });
  }

  it('takes whole spans that are old enough, and no younger one', async () => {
    for (let n = 0; n < 4; n += 1) await span(10);
    now = NOW + KEEP + 1.5 * HOUR;
    await retention().run();
    assert.deepEqual(await kept(), [21, 40]);
  });

  it('leaves a log that verifies', async () => {
    for (let n = 0; n < 4; n += 1) await span(10);
    now = NOW + KEEP + 1.5 * HOUR;
    await retention().run();
    assert.deepEqual((await verify()).faults, []);
  });

  it('leaves a signed statement and the checkpoint of the cut', async () => {
    await span(10);
    await span(10);
    now = NOW + KEEP + HOUR;
    await retention().run();
    const [pruned, checkpoint] = (await lines()).map((line) => JSON.parse(line));
    const cut = { node: 'n1', seq: 10, hash: checkpoint.checkpoint?.hash, keyid: 'node-key' };
    assert.deepEqual(
      { ...pruned.pruned, signature: undefined },
      { v: 1, ...cut, time: now, signature: undefined },
    );
  });

  it('takes nothing while all is young', async () => {
    await span(10);
    await span(10);
    await retention().run();
    assert.deepEqual([await kept(), cuts], [[1, 20], []]);
  });

  it('never takes the last record, which the clock is held against', async () => {
    await span(10);
    now += 100 * KEEP;
    await retention().run();
    assert.deepEqual([await kept(), (await store.load()).latest_record], [[1, 10], NOW]);
  });

  it('goes by the time of each record, where the clock was set back before its checkpoint', async () => {
    const body = recordBody({ time: NOW + 10 * KEEP });
    const log = openLog({ store, node: 'n1', key, clock: () => now });
    await log.append(body, { durable: true });
    await log.close();
    await span(1);
    now = NOW + 2 * KEEP;
    await retention().run();
    assert.deepEqual(await kept(), [1, 2]);
  });

  it('keeps nonces, budgets and events', async () => {
    const seconds = Math.floor(NOW / 1000);
    const record = newRecord('spent', {
      nonce: { keyid: 'k', nonce: 'n', created: seconds + 10 * KEEP },
      budget: [{ lemma_id: 'lem_x', used_delta: 3, expires_at: seconds + 10 * KEEP }],
    });
    await store.appendEvent({ ...TENANT, type: 'key', payload: {}, time: NOW });
    await store.commitRecords({ node: 'n1', lost: 0, records: [record] });
    await vouch(store, key(), () => now);
    await span(1);
    now = NOW + KEEP + HOUR;
    await retention().run();
    const { nonces, budgets, last } = await store.load();
    assert.deepEqual([(await kept())[0], nonces.length, budgets[0]?.used, last.seq], [2, 1, 3, 1]);
  });

  it('prunes each node at its own checkpoints', async () => {
    await span(5, 'n1');
    await span(7, 'n2');
    await span(5, 'n1');
    await span(7, 'n2');
    now = NOW + KEEP + 1.5 * HOUR;
    await retention().run();
    assert.deepEqual([await kept('n1'), await kept('n2'), (await verify()).ok], [[6, 10], [8, 14], true]);
  });

  it('prunes on from the last cut', async () => {
    for (let n = 0; n < 4; n += 1) await span(10);
    for (const hours of [0.5, 1.5, 2.5]) {
      now = NOW + KEEP + hours * HOUR;
      await retention().run();
    }
    assert.deepEqual([cuts.map(({ seq }) => seq), (await verify()).faults], [[10, 20, 30], []]);
  });

  it('takes out, at the next run, what an earlier one had not come to', async () => {
    for (let n = 0; n < 3; n += 1) await span(10);
    const { hash } = (await store.checkpoints())[1] ?? { hash: '' };
    now = NOW + KEEP;
    // The statement is durable, and then the process ended.
    await store.putPruning(await signPruning({ node: 'n1', seq: 20, hash }, now, key()));
    const before = await verify();
    await retention({ keepMs: () => 10 * KEEP }).run();
    assert.deepEqual([before.faults, await kept(), (await verify()).faults], [[], [21, 30], []]);
  });

  it('stops between two steps when it is closed, and the log verifies all the same', async () => {
    await span(600);
    await span(1);
    now = NOW + KEEP + HOUR;
    const steps = Promise.withResolvers<void>();
    let removed = 0;
    const slow = {
      ...store,
      removePruned: async (node: string, limit: number) => {
        const count = await store.removePruned(node, limit);
        removed += count;
        if (count > 0) steps.resolve();
        return count;
      },
    };
    const running = retention({ store: slow, rest: 1_000_000 });
    void running.run();
    await steps.promise;
    await running.close();
    assert.deepEqual([removed > 0 && removed < 600, (await verify()).faults], [true, []]);
  });

  it('takes nothing while somebody holds it, and goes on then', async () => {
    for (let n = 0; n < 3; n += 1) await span(10);
    now = NOW + KEEP + 0.5 * HOUR;
    const one = retention();
    const [first, second] = [await one.hold(), await one.hold()];
    first();
    await one.run();
    const held = await kept();
    second();
    await one.run();
    assert.deepEqual(
      [held, await kept()],
      [
        [1, 30],
        [11, 30],
      ],
    );
  });

  it('leaves a reader that was there first the records that it was promised', async () => {
    await span(600);
    await span(1);
    now = NOW + KEEP + HOUR;
    const one = retention({ rest: 1_000_000 });
    void one.run();
    const release = await one.hold();
    const report = await verify();
    release();
    await one.close();
    assert.deepEqual(report.faults, []);
  });

  it('prunes nothing at a checkpoint that no key of the deployment signed', async () => {
    await span(10);
    await span(10);
    now = NOW + KEEP + HOUR;
    await tamper(
      `UPDATE checkpoints SET document = replace(document, '"signature":"', '"signature":"A') WHERE seq = 10`,
    );
    await retention().run();
    assert.deepEqual([cuts, await store.logEnd().then(({ prunings }) => prunings)], [[], []]);
    assert.match(String(errors[0]), /record 10 is not signed by a key of this deployment: nothing is pruned/);
  });

  it('prunes nothing where the record at the cut is not the one that was signed', async () => {
    await span(10);
    await span(10);
    now = NOW + KEEP + HOUR;
    await tamper('UPDATE records SET line = (SELECT line FROM records WHERE seq = 9) WHERE seq = 10');
    await retention().run();
    assert.deepEqual(cuts, []);
    assert.match(String(errors[0]), /record 10 of n1 is not what its checkpoint says: nothing is pruned/);
  });

  it('is found out where more was taken than the statement says', async () => {
    for (let n = 0; n < 3; n += 1) await span(10);
    now = NOW + KEEP + 0.5 * HOUR;
    await retention().run();
    await tamper('DELETE FROM records WHERE seq <= 20');
    assert.deepEqual(
      (await verify()).faults.map(({ kind, seq }) => [kind, seq]),
      [['dropped', 11]],
    );
  });

  it('is found out where the statement was taken away', async () => {
    for (let n = 0; n < 3; n += 1) await span(10);
    now = NOW + KEEP + 0.5 * HOUR;
    await retention().run();
    await tamper('DELETE FROM prunings');
    assert.deepEqual((await verify()).faults[0]?.kind, 'dropped');
  });

  describe('of a database that is nearly full of young records', () => {
    const PAD = 'p'.repeat(20_000);
    const LIMIT = 1_500_000;
    beforeEach(async () => {
      for (let n = 0; n < 6; n += 1) await span(12, 'n1', PAD);
      await store.limit(LIMIT);
    });

    it('says so, once, and takes nothing', async () => {
      const one = retention();
      await one.run();
      await one.run();
      assert.deepEqual([full, await kept()], [1, [1, 72]]);
    });

    it('takes the oldest spans, where it may, until there is room', async () => {
      await retention({ whenFull: () => 'prune' }).run();
      const { used } = await store.size();
      const why = new Set(cuts.map((cut) => cut.why));
      assert.deepEqual([[...why], used < LIMIT * 0.85, full], [['size'], true, 0]);
    });

    const filled = async () => {
      const { used } = await store.size();
      return { ...store, size: async () => ({ used: (await store.size()).used, limit: used / 0.98 }) };
    };

    it('is no longer held by a reader, who is told, where it is all but full', async () => {
      const one = retention({ store: await filled(), whenFull: () => 'prune' });
      let told = 0;
      const release = await one.hold(() => {
        told += 1;
      });
      await one.run();
      release();
      assert.deepEqual([told, cuts.length > 0], [1, true]);
    });

    it('is held all the same where nothing of it may go', async () => {
      const one = retention({ store: await filled() });
      let told = 0;
      const release = await one.hold(() => {
        told += 1;
      });
      await one.run();
      release();
      assert.deepEqual([told, cuts], [0, []]);
    });

    it('takes no more of them than it must', async () => {
      await retention({ whenFull: () => 'prune' }).run();
      const [first = 0] = await kept();
      assert.ok(first > 1 && first <= 37, `from ${first}`);
    });
  });
});
