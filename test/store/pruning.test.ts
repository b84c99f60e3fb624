import assert from 'node:assert/strict';
import type { Checkpoint } from '../../src/store/model.ts';
import type { Store } from '../../src/store/store.ts';
import { commit, describeStores, idsOf, NOW, newRecord, type Workspace } from './fixture.ts';

describeStores('pruning', (workspace) => {
  let at: Workspace;
  let store: Store;
  beforeEach(async () => {
    at = workspace();
    store = await at.open();
    for (const n of [1, 2, 3, 4, 5, 6]) await commit(store, newRecord(`d${n}`, { time: NOW + n }));
    for (const seq of [2, 4, 6]) await store.putCheckpoint(await checkpoint(seq));
  });
  afterEach(() => at.end());

  async function checkpoint(seq: number): Promise<Checkpoint> {
    const { records } = await store.streamRecords('any', seq - 1, 1);
    const { hash } = JSON.parse(records[0]?.line ?? '{}') as { hash: string };
    return { v: 1, node: 'n1', seq, hash, time: NOW + seq, keyid: 'k', signature: 's' };
  }

  async function cut(seq: number): Promise<void> {
    await store.putPruning(await checkpoint(seq));
  }

  async function rest(): Promise<string[]> {
    const { records } = await store.streamRecords('any', 0, 10);
    return idsOf(records.map(({ line }) => line));
  }

  it('may go to the last checkpoint before a time, with the hash that stands there', async () => {
    const next = await store.prunable('n1', NOW + 5);
    assert.deepEqual([next?.checkpoint.seq, next?.hash], [4, (await checkpoint(4)).hash]);
  });

  it('may not go beyond a record that is young, whatever its checkpoint says', async () => {
    await store.putCheckpoint({ ...(await checkpoint(4)), time: NOW });
    assert.equal((await store.prunable('n1', NOW + 3))?.checkpoint.seq, 2);
  });

  it('takes one span where room is wanted, whatever its age', async () => {
    assert.equal((await store.prunable('n1', null))?.checkpoint.seq, 2);
  });

  it('never takes the newest record', async () => {
    await cut(4);
    assert.equal(await store.prunable('n1', NOW + 1000), null);
  });

  it('takes nothing of a node that has none', async () => {
    assert.equal(await store.prunable('n9', null), null);
  });

  it('goes a few at a time, records first', async () => {
    await cut(4);
    const gone: number[] = [];
    for (let n = 0; n < 4; n += 1) gone.push(await store.removePruned('n1', 3));
    assert.deepEqual(
      [gone, await rest()],
      [
        [3, 1, 1, 0],
        ['d5', 'd6'],
      ],
    );
  });

  it('leaves the checkpoint at the cut, and says what was cut', async () => {
    await cut(4);
    while ((await store.removePruned('n1', 10)) > 0);
    const { chains, prunings } = await store.logEnd();
    assert.deepEqual(
      [(await store.checkpoints('n1')).map(({ seq }) => seq), chains[0]?.checkpoint, prunings[0]?.seq],
      [[4, 6], 6, 4],
    );
  });

  it('never goes back', async () => {
    await cut(4);
    await cut(2);
    assert.equal((await store.logEnd()).prunings[0]?.seq, 4);
  });

  it('leaves a chain that goes on', async () => {
    await cut(4);
    await store.removePruned('n1', 10);
    const { head } = await commit(store, newRecord('d7'));
    assert.deepEqual([head?.seq, (await store.logEnd()).position], [7, 7]);
  });
});
