/**
 * The README's pictures, as a run of their test makes them: coverage/console/readme -> src/docs/pictures.
 *
 *     npm run pictures
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../../', import.meta.url);
const MADE = new URL('coverage/console/readme/', ROOT);
const KEPT = new URL('src/docs/pictures/', ROOT);
const MOCHA = fileURLToPath(new URL('node_modules/mocha/bin/mocha.js', ROOT));

const { status } = spawnSync(process.execPath, [MOCHA, 'test/console/pictures.test.ts'], {
  cwd: fileURLToPath(ROOT),
  // Without a browser it fails, where it would be skipped.
  env: { ...process.env, CI: 'true' },
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);
mkdirSync(KEPT, { recursive: true });
for (const name of readdirSync(MADE)) {
  cpSync(new URL(name, MADE), new URL(name, KEPT));
  console.log(fileURLToPath(new URL(name, KEPT)));
}
