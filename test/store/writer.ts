import { parseStoreUrl } from '../../src/config/store-url.ts';
import { openLog } from '../../src/decision-log/log.ts';
import type { StoreAddress } from '../../src/schema/config.ts';
import { openPostgres } from '../../src/store/postgres/store.ts';
import { openStore } from '../../src/store/store.ts';
import { recordBody } from '../decision-log/fixture.ts';

/** A process to kill: appends durable records, each with a nonce, and prints an id once its record is acknowledged. */
function addressOf(url: string): StoreAddress {
  const address = parseStoreUrl(url);
  if (typeof address === 'string') throw new Error(address);
  return address;
}

const [path = ''] = process.argv.slice(2);
const store = path.startsWith('postgres:')
  ? await openPostgres({ address: addressOf(path), node: 'n1', clock: Date.now })
  : await openStore({ path, clock: Date.now });
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
