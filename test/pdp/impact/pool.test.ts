import assert from 'node:assert/strict';
import { lentPolicies } from '../../../src/pdp/impact/pool.ts';
import type { Bundle } from '../../../src/policy/bundle.ts';
import { loadEmbedded } from '../../../src/policy/embedded.ts';
import { told } from '../support.ts';

describe('policies lent to threads', () => {
  let low: Bundle;
  /** Digests, in the order in which they were asked for. */
  let asked: string[];
  let found: string[];

  before(async () => {
    low = (await loadEmbedded()).find(({ name }) => name === 'low') as Bundle;
  });
  beforeEach(() => {
    [asked, found] = [[], []];
  });

  const lent = () =>
    lentPolicies(
      async (sha256) => {
        asked.push(sha256);
        return [low, told].find((bundle) => bundle.sha256 === sha256) ?? null;
      },
      ({ sha256 }) => void found.push(sha256),
    );

  it('are of one bundle, or of one with that which is below it', async () => {
    const policies = lent();
    const one = await policies(told.sha256);
    const two = await policies(`${told.sha256} ${low.sha256}`);
    assert.deepEqual(
      [one, two].map((policy) => [policy?.sha256, policy?.base?.sha256]),
      [
        [told.sha256, undefined],
        [told.sha256, low.sha256],
      ],
    );
    assert.deepEqual(found, [told.sha256, told.sha256, low.sha256]);
  });

  it('are none where one of the two is not to be had', async () => {
    const policies = lent();
    assert.equal(await policies('lost'), null);
    assert.equal(await policies(`${told.sha256} lost`), null);
    assert.equal(await policies(`lost ${told.sha256}`), null);
    assert.deepEqual(found, [told.sha256]);
  });

  it('stay, twenty-four of them, but for the one that was not used for the longest time', async () => {
    const policies = lent();
    for (let i = 0; i < 24; i++) await policies(`${i}`);
    await policies('0');
    assert.equal(asked.length, 24);
    await policies('one more');
    asked = [];
    for (const key of ['0', '2', '23', 'one more', '1']) await policies(key);
    assert.deepEqual(asked, ['1']);
  });
});
