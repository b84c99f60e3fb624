import assert from 'node:assert/strict';
import { publicKeyOf, signEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { type DecisionLog, type LogOptions, NonceSpentError, openLog } from '../../src/decision-log/log.ts';
import { findDecision } from '../../src/decision-log/query.ts';
import { type ChainReport, verifyChain } from '../../src/decision-log/verify.ts';
import { StoreWriteError } from '../../src/store/errors.ts';
import type { Store } from '../../src/store/store.ts';
import { exported, idsOf, linesOf, NOW, TENANT, type Workspace, workspace } from '../store/fixture.ts';
import { recordBody } from './fixture.ts';

const SEED = new Uint8Array(32).fill(7);
const KEYS = new Map([['node-key', publicKeyOf(SEED)]]);
const PAD = 'p'.repeat(50_000);

describe('decision-log: log', () => {
  let at: Workspace;
  let store: Store;
  beforeEach(async () => {
    at = workspace();
    store = await at.open();
  });
  afterEach(() => at.end());

  function open(over: Partial<LogOptions> = {}): DecisionLog {
    const sign = (bytes: Uint8Array) => toBase64url(signEd25519(bytes, SEED));
    return openLog({
      store,
      node: 'n1',
      key: () => ({ keyid: 'node-key', sign }),
      clock: () => NOW,
      ...over,
    });
  }

  const lines = () => linesOf(store);

  async function verify(): Promise<ChainReport> {
    return verifyChain(await lines(), await store.checkpoints(), KEYS);
  }

  const body = (decision_id: string) => recordBody({ decision_id });
  const bulky = (id: string) => ({ body: body(id), how: { durable: true, inputJson: `"${PAD}"` } });

  /** Durable records until the store is full. */
  async function fill(log: DecisionLog): Promise<void> {
    await store.limit(400_000);
    for (let n = 0; ; n += 1) {
      const { body: record, how } = bulky(`fill-${n}`);
      try {
        await log.append(record, how);
      } catch (error) {
        assert.ok(error instanceof StoreWriteError);
        return;
      }
    }
  }

  it('has a durable record on disk when it says so', async () => {
    const log = open();
    await log.append(body('d1'), { durable: true });
    assert.equal((await findDecision(store, 'd1', TENANT))?.verdict.seq, 1);
  });

  it('writes a behind record without a promise', async () => {
    const log = open();
    assert.equal(log.append(body('d1'), { durable: false }), undefined);
    await log.close();
    assert.deepEqual(idsOf(await lines()), ['d1']);
  });

  it('keeps the order, and shares commits', async () => {
    const log = open();
    const before = (await store.stats()).transactions;
    const ids = Array.from({ length: 300 }, (_, n) => `d${n}`);
    await Promise.all(ids.map((id, n) => log.append(body(id), { durable: n % 2 === 0 })));
    await log.close();
    assert.deepEqual(idsOf(await lines()), ids);
    assert.ok((await store.stats()).transactions - before < 10);
  });

  it('makes a record durable that spends a nonce, and refuses the nonce a second time', async () => {
    const log = open();
    const how = { durable: false, nonce: { keyid: 'k', nonce: 'x', created: NOW / 1000 } };
    await log.append(body('d1'), how);
    await assert.rejects(log.append(body('d2'), how) ?? Promise.resolve(), NonceSpentError);
    assert.deepEqual(idsOf(await lines()), ['d1']);
  });

  it('makes a record durable that spends a budget', async () => {
    const use = { lemma_id: 'lem_a', used_delta: 1, expires_at: NOW };
    await open().append(body('d1'), { durable: false, budget: [use] });
    assert.equal((await store.load()).budgets[0]?.used, 1);
  });

  it('gives the amended verdict of a decision, and all its lines', async () => {
    const log = open();
    await log.append(body('d1'), { durable: true });
    await log.append(recordBody({ verdict: 'deny', reason: 'runtime_killed', amends: true }), {
      durable: true,
    });
    const found = await findDecision(store, 'd1', TENANT);
    assert.deepEqual([found?.lines.length, found?.verdict.reason], [2, 'runtime_killed']);
    assert.equal(await findDecision(store, 'd1', { org: 'evil', env: 'prod' }), null);
  });

  it('goes on with its chain after a restart', async () => {
    const first = open();
    await first.append(body('d1'), { durable: true });
    await first.close();
    await store.close();
    store = await at.open();
    const second = open();
    await second.append(body('d2'), { durable: true });
    await second.close();
    const report = await verify();
    assert.deepEqual(report.faults, []);
    assert.deepEqual(
      report.chains.map(({ last, vouched }) => [last, vouched]),
      [[2, 2]],
    );
  });

  it('keeps a reader no longer than it wants to wait, while the disk does not answer', async () => {
    const disk = Promise.withResolvers<void>();
    const commitRecords: Store['commitRecords'] = (batch) =>
      disk.promise.then(() => store.commitRecords(batch));
    const log = open({ store: { commitRecords, putCheckpoint: (one) => store.putCheckpoint(one) } });
    log.append(body('d1'), { durable: false });
    await log.settled(1);
    assert.equal(log.stats().written, 0);
    disk.resolve();
    await log.settled();
    assert.equal(log.stats().written, 1);
  });

  it('drops behind records over the limit, counts them, and says so in the next line', async () => {
    const log = open({ queueLimit: 5 });
    for (let n = 0; n < 8; n += 1) log.append(body(`d${n}`), { durable: false });
    assert.equal(log.stats().lost, 3);
    await log.close();
    const report = await verify();
    assert.deepEqual([report.ok, report.lines, report.chains[0]?.lost], [true, 5, 3]);
  });

  it('rejects durable records over the limit', async () => {
    const log = open({ queueLimit: 2 });
    const answers = await Promise.allSettled(
      ['a', 'b', 'c'].map((id) => log.append(body(id), { durable: true })),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected'],
    );
  });

  it('when the store fails: rejects durable, counts behind as lost, recovers, and the chain tells', async () => {
    const log = open();
    await fill(log);
    for (const id of ['l1', 'l2', 'l3']) log.append(body(id), { durable: false, inputJson: `"${PAD}"` });
    await assert.rejects(log.append(body('r1'), bulky('r1').how) ?? Promise.resolve(), StoreWriteError);
    assert.equal(log.stats().lost, 3);
    await store.limit(null);
    await log.append(body('back'), { durable: true });
    await log.close();
    const [last = ''] = (await lines()).slice(-1);
    assert.equal((JSON.parse(last) as { lost?: number }).lost, 3);
    const report = await verify();
    assert.deepEqual([report.ok, report.chains[0]?.lost], [true, 3]);
  });

  it('ends no process where nobody waits for a durable record that fails', async () => {
    const log = open();
    await fill(log);
    const { body: record, how } = bulky('abandoned');
    const unhandled: unknown[] = [];
    const hear = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', hear);
    try {
      void log.append(record, how);
      await log.close();
      await new Promise(setImmediate);
      assert.deepEqual(unhandled, []);
    } finally {
      process.off('unhandledRejection', hear);
    }
  });

  it('signs a checkpoint every so many records, and at the end', async () => {
    const log = open({ checkpointEvery: 10 });
    for (let n = 0; n < 25; n += 1) await log.append(body(`d${n}`), { durable: true });
    await log.close();
    assert.deepEqual(
      (await store.checkpoints('n1')).map(({ seq }) => seq),
      [10, 20, 25],
    );
    assert.equal((await verify()).chains[0]?.vouched, 25);
  });

  it('signs a checkpoint after a while', async () => {
    const signed = Promise.withResolvers<void>();
    const putCheckpoint: Store['putCheckpoint'] = async (checkpoint) => {
      await store.putCheckpoint(checkpoint);
      signed.resolve();
    };
    const log = open({ checkpointMs: 1, store: { commitRecords: store.commitRecords, putCheckpoint } });
    const alive = setInterval(() => undefined, 1000);
    await log.append(body('d1'), { durable: true });
    await signed.promise;
    clearInterval(alive);
    await log.close();
    assert.deepEqual(
      (await store.checkpoints()).map(({ seq }) => seq),
      [1],
    );
  });

  it('goes on where a checkpoint cannot be signed, and signs a later one', async () => {
    let asked = 0;
    const sign = (bytes: Uint8Array) => {
      asked += 1;
      if (asked === 1) throw new Error('no key');
      return toBase64url(signEd25519(bytes, SEED));
    };
    const log = open({ checkpointEvery: 1, key: () => ({ keyid: 'node-key', sign }) });
    await log.append(body('d1'), { durable: true });
    await log.append(body('d2'), { durable: true });
    await log.close();
    assert.equal(log.stats().checkpointsFailed, 1);
    assert.deepEqual(
      (await store.checkpoints()).map(({ seq }) => seq),
      [2],
    );
  });

  it('tells listeners what is on disk, until they leave', async () => {
    const log = open();
    const heard: string[] = [];
    const leave = log.onRecord(({ decision_id }, seq) => {
      heard.push(`${decision_id}@${seq}`);
      throw new Error('a listener of no use');
    });
    await log.append(body('d1'), { durable: true });
    leave();
    await log.append(body('d2'), { durable: true });
    assert.deepEqual(heard, ['d1@1']);
  });

  it('takes nothing after close', async () => {
    const log = open();
    await log.close();
    log.append(body('d1'), { durable: false });
    assert.equal(log.stats().lost, 1);
    await assert.rejects(log.append(body('d2'), { durable: true }) ?? Promise.resolve(), StoreWriteError);
  });

  it('exports exact lines, and goes on from a cursor', async () => {
    const log = open();
    const ids = Array.from({ length: 1203 }, (_, n) => `d${n}`);
    await Promise.all(ids.map((id) => log.append(body(id), { durable: true })));
    const all = await exported(store);
    const [first] = all.flatMap(({ place }) => place ?? []);
    const read = all.findIndex(({ place }) => place !== undefined) + 1;
    assert.ok(first !== undefined && read < ids.length, `${read} in one page`);
    const rest = (await exported(store, first)).flatMap(({ line }) => line ?? []);
    assert.deepEqual(idsOf(rest), ids.slice(read));
  });
});
