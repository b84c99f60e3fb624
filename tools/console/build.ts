import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { BUILT, SOURCES, viteConfig } from './vite.ts';

/**
 * src/console/** -> src/console/built: `npm run console`. `--if-stale`: only where a source is newer than what is built;
 * `--watch`: again with each change.
 */

const { values } = parseArgs({
  options: { 'if-stale': { type: 'boolean', default: false }, watch: { type: 'boolean', default: false } },
});

/** The newest change below a folder, without what is built; 0 where there is no folder. Milliseconds. */
function newest(folder: string, skip?: string): number {
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (stat === undefined || folder === skip) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(folder).map((name) => newest(join(folder, name), skip)));
}

if (!values['if-stale'] || newest(SOURCES, BUILT) > newest(BUILT)) {
  // Loaded only where there is something to build: it takes longer than the look.
  const { build } = await import('vite');
  const config = viteConfig();
  await build({ ...config, build: { ...config.build, ...(values.watch ? { watch: {} } : {}) } });
  console.log(`built ${relative(process.cwd(), BUILT)}`);
}
