import { equal } from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ATTACKED = fileURLToPath(new URL('./grpc-collecting.ts', import.meta.url));

/** Frames after which Node, left alone, aborts its process in the next garbage collection. */
describe('a gRPC client that leaves fields behind which nobody took over', () => {
  let folder: string;
  let child: ChildProcess | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-grpc-'));
  });
  afterEach(() => {
    child?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [what, attack] of [
    ['too many of them, and says GOAWAY', 'too-many-fields'],
    ['half its trailers, while answers wait for it, and breaks off', 'half-trailers'],
  ] as const) {
    it(`(${what}) ends nothing but its own connection`, async () => {
      const path = join(folder, 's');
      child = spawn(process.execPath, ['--expose-gc', ATTACKED, attack, path], {
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      const exited = once(child, 'exit');
      if (child.stdout === null || child.stdin === null) throw new Error('no pipes');
      const [first] = await Promise.race([once(child.stdout, 'data'), exited]);
      equal(String(first), 'over\n');
      equal(await ponged(path), true);
      child.stdin.end();
      // What was held back must not trip the process at its end either.
      equal((await exited)[0], 0);
    });
  }
});

/** Whether another connection is answered. */
async function ponged(path: string): Promise<boolean> {
  const session = connectHttp2('http://localhost', { createConnection: () => connect(path) });
  session.on('error', () => undefined);
  await once(session, 'connect');
  const answered = await new Promise<boolean>((resolve) => session.ping((error) => resolve(error === null)));
  session.destroy();
  return answered;
}
