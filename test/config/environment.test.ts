import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ENVIRONMENT = new URL('../../src/config/environment.ts', import.meta.url).href;

/** In a process of its own: what was enabled stays so. */
const SCRIPT = `
import { enableCompileCache, getCompileCacheDir } from 'node:module';
import { Worker } from 'node:worker_threads';
import { shareCompileCache } from '${ENVIRONMENT}';

enableCompileCache(process.argv[1]);
shareCompileCache();
const asked = "import { getCompileCacheDir } from 'node:module'; import { parentPort } from 'node:worker_threads';" +
  "parentPort.postMessage(getCompileCacheDir() ?? 'none')";
new Worker(asked, { eval: true }).on('message', (theirs) => console.log(JSON.stringify([getCompileCacheDir(), theirs])));
`;

describe('shareCompileCache', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-compiled-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('has threads keep compiled code in the same folder', () => {
    const { NODE_COMPILE_CACHE: _cache, NODE_V8_COVERAGE: _coverage, ...env } = process.env;
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', SCRIPT, folder], {
      env,
      encoding: 'utf8',
    });
    const [ours, theirs] = JSON.parse(out) as [string, string];
    assert.ok(ours.startsWith(folder), ours);
    assert.equal(theirs, ours);
  });
});
