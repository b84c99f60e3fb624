import { deepEqual } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const COLLECTING = fileURLToPath(new URL('./grpc-collecting.ts', import.meta.url));

describe('a gRPC client that leaves half a header block behind', () => {
  it('does not end the process, whenever garbage is collected', async function () {
    this.timeout(60_000);
    const child = spawn(process.execPath, ['--expose-gc', COLLECTING], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const said = text(child.stdout);
    const [code] = await once(child, 'exit');
    deepEqual([code, await said], [0, 'survived\n']);
  });
});
