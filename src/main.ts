import { runCli } from './cli/program.ts';
import { environment, shareCompileCache } from './config/environment.ts';

// A reader that has had enough (`lemma decisions export | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

shareCompileCache();
process.exitCode = await runCli(process.argv.slice(2), environment());
// Only for what would keep the process from ending: a stopped service must be gone.
setTimeout(() => process.exit(), 2_000).unref();
