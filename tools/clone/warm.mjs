/** Fills the compile cache once, after an installation, so that the first `lemma serve` starts as fast as the next. */
import { enableCompileCache, flushCompileCache } from 'node:module';

enableCompileCache(process.argv[2]);
for (const file of ['cli/program.ts', 'cli/serve.ts', 'app.ts']) {
  await import(new URL(`../../src/${file}`, import.meta.url).href);
}
flushCompileCache();
process.exit();
