import type { Store } from '../store/store.ts';
import { type LogKey, signCheckpoint } from './checkpoint.ts';

/**
 * Signs the end of every chain that no checkpoint vouches for yet, those that a node left behind included: after it, all
 * that the log holds now is vouched for. `clock` in milliseconds. Rejects with `StoreWriteError`, `StoreReadError`.
 */
export async function vouch(
  store: Pick<Store, 'logEnd' | 'putCheckpoint'>,
  key: LogKey,
  clock: () => number,
): Promise<void> {
  const { chains } = await store.logEnd();
  for (const { checkpoint, ...head } of chains) {
    if (head.seq === 0 || head.seq === checkpoint) continue;
    await store.putCheckpoint(await signCheckpoint(head, clock(), key.keyid, key.sign));
  }
}
