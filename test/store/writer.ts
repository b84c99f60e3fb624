import { openLog } from '../../src/decision-log/log.ts';
import { openStore } from '../../src/store/store.ts';
import { recordBody } from '../decision-log/fixture.ts';

/** A process to kill: appends durable records, each with a nonce, and prints an id once its record is acknowledged. */
const [path = ''] = process.argv.slice(2);
const store = await openStore({ path, clock: Date.now });
const log = openLog({
  store,
  node: 'n1',
  key: () => ({ keyid: 'k', sign: () => 'unsigned' }),
  clock: Date.now,
});

async function appendForEver(lane: number): Promise<never> {
  for (let n = 0; ; n += 1) {
    const decision_id = `d-${lane}-${n}`;
    const nonce = { keyid: 'k', nonce: decision_id, created: Math.floor(Date.now() / 1000) };
    const budget = [{ lemma_id: 'lem_x', used_delta: 1, expires_at: 4_000_000_000 }];
    await log.append(recordBody({ decision_id }), { durable: true, nonce, budget });
    process.stdout.write(`${decision_id}\n`);
  }
}

await Promise.all(Array.from({ length: 8 }, (_, lane) => appendForEver(lane)));
