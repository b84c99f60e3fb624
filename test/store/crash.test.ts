import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { verifyChain } from '../../src/decision-log/verify.ts';
import { idsOf, linesOf, type Workspace, workspace } from './fixture.ts';

const ROUNDS = 3;
const ENOUGH = 300;

describe('store: kill -9 while it writes', () => {
  let at: Workspace;
  beforeEach(() => {
    at = workspace();
  });
  afterEach(() => at.end());

  /** Ids that the process acknowledged before it was killed. */
  async function runAndKill(path: string): Promise<string[]> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const acknowledged: string[] = [];
    for await (const id of createInterface({ input: child.stdout })) {
      acknowledged.push(id);
      if (acknowledged.length === ENOUGH) child.kill('SIGKILL');
    }
    await exited;
    // A line that the kill cut in two was never acknowledged.
    return acknowledged.filter((id) => /^d-\d+-\d+$/.test(id)).slice(0, ENOUGH);
  }

  it('keeps every record, nonce and budget that was acknowledged, in a whole chain', async () => {
    for (let round = 1; round <= ROUNDS; round += 1) {
      const path = join(at.folder, `r${round}`, 'lemma.db');
      const acknowledged = await runAndKill(path);
      assert.equal(acknowledged.length, ENOUGH);
      const store = await at.open({ path, clock: Date.now });
      const lines = await linesOf(store);
      const kept = new Set(idsOf(lines));
      assert.deepEqual(
        acknowledged.filter((id) => !kept.has(id)),
        [],
      );
      assert.deepEqual((await verifyChain(lines, await store.checkpoints())).faults, []);
      const { nonces, budgets } = await store.load();
      assert.deepEqual(new Set(nonces.map(({ nonce }) => nonce)), kept);
      assert.equal(budgets[0]?.used, lines.length);
    }
  });
});
