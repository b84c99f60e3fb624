import assert from 'node:assert/strict';
import { verifyChain } from '../../src/decision-log/verify.ts';
import { times } from '../pdp/support.ts';
import { NOW, request } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

const HOUR = 3600;

describe('log.keep', () => {
  let service: Running;
  let now = NOW;
  let lines: string[];

  async function exported(): Promise<string[]> {
    const answer = await fetch(
      `http://${service.app.addresses.control}/api/wallet/runtimes/decisions/export?proven=true`,
      { headers: { authorization: `Bearer ${service.operatorKey}` } },
    );
    return (await answer.text()).trimEnd().split('\n');
  }
  const ask = (count: number) => Promise.all(times(count, () => service.grpc(request())));
  const records = () => lines.filter((line) => line.startsWith('{"v":1,'));

  before(async () => {
    service = await running({ config: { log: { keep: '1h' } }, clock: () => now });
    await ask(5);
    await exported();
    now += 2 * HOUR;
    await ask(3);
    // An export signs the chain's end, and what that closes is then looked through.
    do lines = await exported();
    while (records().length > 3);
  });
  after(() => service.stop());

  it('takes what is older out of the log of the running service', () => {
    assert.deepEqual(
      records().map((line) => (JSON.parse(line) as { seq: number }).seq),
      [6, 7, 8],
    );
  });

  it('leaves an export that verifies, and says what was pruned', async () => {
    const report = await verifyChain(lines, [], undefined, { complete: true });
    assert.deepEqual([report.faults, report.chains[0]?.pruned], [[], 5]);
  });

  it('says so in the service log', () => {
    assert.equal(
      service.logged.filter((line) => line.includes('pruned the decision log up to a checkpoint')).length,
      1,
    );
  });
});
