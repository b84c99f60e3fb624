import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again and again, for 20 s at most; then it fails. */
export async function eventually(look: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (performance.now() < end) {
    if (await look()) return;
    await sleep(20);
  }
  assert.fail('it did not come to be within 20 s');
}
