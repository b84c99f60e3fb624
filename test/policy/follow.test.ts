import assert from 'node:assert/strict';
import type { Bundle } from '../../src/policy/bundle.ts';
import { createBundleFollower } from '../../src/policy/follow.ts';
import { fixture, republished } from './support.ts';

describe('bundles that another process names', () => {
  const low = fixture('probe');
  const first = republished(low, 1, 'low-1');
  const second = republished(low, 2, 'low-2');

  /** Each comes when the test says so. */
  function world() {
    const active: string[] = [];
    const coming = new Map<string, PromiseWithResolvers<Bundle>>();
    const follower = createBundleFollower(
      (sha256) => {
        const fetched = Promise.withResolvers<Bundle>();
        coming.set(sha256, fetched);
        return fetched.promise;
      },
      async ({ revision }) => void active.push(revision),
    );
    const come = (bundle: Bundle) => coming.get(bundle.sha256)?.resolve(bundle);
    const fail = (bundle: Bundle) => coming.get(bundle.sha256)?.reject(new Error('it is away'));
    return { active, follower, come, fail };
  }

  it('come into force in the order in which they were named', async () => {
    const { active, follower, come } = world();
    for (const bundle of [first, second]) {
      const taken = follower.take(bundle.sha256, follower.turn());
      come(bundle);
      await taken;
    }
    assert.deepEqual(active, ['low-1', 'low-2']);
  });

  it('do not come into force after a later one, though they come later', async () => {
    const { active, follower, come } = world();
    const taken = [first, second].map((bundle) => follower.take(bundle.sha256, follower.turn()));
    come(second);
    await taken[1];
    come(first);
    await taken[0];
    assert.deepEqual(active, ['low-2']);
  });

  it('do not come into force after a later one, though they are tried again', async () => {
    const { active, follower, come, fail } = world();
    const turn = follower.turn();
    const failed = follower.take(first.sha256, turn);
    fail(first);
    await assert.rejects(failed);
    const later = follower.take(second.sha256, follower.turn());
    come(second);
    await later;
    const again = follower.take(first.sha256, turn);
    come(first);
    await again;
    assert.deepEqual(active, ['low-2']);
  });

  it('are told by the digest that was named, whatever came', async () => {
    const told: string[] = [];
    const follower = createBundleFollower(
      async () => first,
      async (_, named) => void told.push(named),
    );
    await follower.take(second.sha256, follower.turn());
    assert.deepEqual(told, [second.sha256]);
  });
});
