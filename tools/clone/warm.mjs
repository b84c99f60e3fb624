/** Fills the compile cache once, after an installation, so that the first `lemma serve` starts as fast as the next. */
import { enableCompileCache, flushCompileCache } from 'node:module';

enableCompileCache(process.argv[2]);
for (const file of ['cli/program.ts', 'cli/serve.ts', 'app.ts', 'firewall/firewall.ts', 'store/worker.ts']) {
  // What is a thread's refuses to run here, once it has been compiled.
  await import(new URL(`../../src/${file}`, import.meta.url).href).catch(() => undefined);
}
flushCompileCache();
process.exit();
