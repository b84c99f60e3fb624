import assert from 'node:assert/strict';
import { once, runOnce } from '../../src/server/once.ts';

/** Fails the first time, and counts. */
function failsFirst() {
  let runs = 0;
  return async () => {
    runs += 1;
    if (runs === 1) throw new Error('the first');
    return runs;
  };
}

describe('what is done once', () => {
  it('is the same for all who ask while it is under way', async () => {
    for (const kind of [once, runOnce]) {
      let runs = 0;
      const ask = kind(async () => ++runs);
      assert.deepEqual(await Promise.all([ask(), ask()]), [1, 1]);
    }
  });

  it('is made again after a failure where it makes something', async () => {
    const ask = once(failsFirst());
    await assert.rejects(ask(), /the first/);
    assert.equal(await ask(), 2);
  });

  it('is not run again after a failure where it runs something', async () => {
    const ask = runOnce(failsFirst());
    await assert.rejects(ask(), /the first/);
    await assert.rejects(ask(), /the first/);
  });
});
