import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { connectedLaptop, type Laptop } from './laptop.ts';

describe('lemma safety-status', () => {
  let computer: Laptop;
  before(async function () {
    this.timeout(120_000);
    computer = await connectedLaptop();
  });
  after(() => computer.close());

  it('is SAFE, with exit code 0, when an agent is contained', async () => {
    const { code, out } = await computer.run(['safety-status', '--short'], computer.contained());
    assert.deepEqual([code, out], [0, 'SAFE\n']);
  });

  it('is DEGRADED, with exit code 1 and the reason, when something is not covered', async () => {
    const { code, ok, error_code, data } = await computer.json(['safety-status']);
    assert.deepEqual(
      [code, ok, error_code, data.posture, data.findings.map((one: { code: string }) => one.code)],
      [1, false, 'degraded', 'DEGRADED', ['proxy_unset']],
    );
  });

  it('says each reason and its mend to a person', async () => {
    const { out, err } = await computer.run(['safety-status']);
    const [first, reason, mend] = out.split('\n');
    assert.deepEqual([first, reason?.split(' ')[2], err], ['DEGRADED', 'proxy_unset', '']);
    assert.match(mend ?? '', /export HTTPS_PROXY=http:\/\/127\.0\.0\.1:/);
  });

  it('is UNSAFE when no firewall runs', async () => {
    const elsewhere = { ...computer.contained(), LEMMA_HOME: join(computer.folder, 'another') };
    const { code, out } = await computer.run(['safety-status', '--short'], elsewhere);
    assert.deepEqual([code, out], [1, 'UNSAFE\n']);
  });

  it('is UNSAFE when the state file is open to others', async () => {
    const state = join(computer.home, 'firewall.json');
    chmodSync(state, 0o644);
    const { data } = await computer.json(['safety-status'], computer.contained());
    chmodSync(state, 0o600);
    assert.deepEqual([data.posture, data.findings[0].code], ['UNSAFE', 'file_unsafe']);
  });

  it('looks at the proof that LEMMA_PROOF_FILE names', async () => {
    const env = { ...computer.contained(), LEMMA_PROOF_FILE: join(computer.folder, 'none.json') };
    const { data } = await computer.json(['safety-status'], env);
    assert.deepEqual(
      data.findings.map((one: { code: string }) => one.code),
      ['proof_missing'],
    );
  });

  it('is used wrongly with a flag that there is not', async () => {
    assert.equal((await computer.run(['safety-status', '--shrt'])).code, 2);
  });
});
