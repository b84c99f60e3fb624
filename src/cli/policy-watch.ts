import type { Command } from 'commander';
import { watchTree } from '../config/watch-tree.ts';
import { isPolicyFile } from '../policy/policy-files.ts';
import type { Call, Result } from './command.ts';
import { CliError, EXIT } from './exit.ts';
import { explained } from './policy-errors.ts';
import { policyFolder } from './policy-folder.ts';
import { firstSignal } from './signals.ts';

export function defineWatch(command: Command): void {
  command.option('--watch', 'Do it again on each change of the folder, until Ctrl-C');
}

/** What is done about a folder of policies. */
type Work = (root: string) => Promise<Result>;

/**
 * Does the work once or, with --watch, again and again: a result, or a JSON document, for each change. What is wrong with
 * policies does not end a watch; what is wrong with the command line does.
 */
export async function repeated(call: Call, work: Work): Promise<Result | null> {
  const root = policyFolder(call, call.args[0]);
  if (call.options.watch !== true) return work(root);
  const stopped = firstSignal().then(() => 'stopped' as const);
  const tree = watchTree(root, isPolicyFile);
  try {
    for (let first = true; ; first = false) {
      tree.mark();
      const start = performance.now();
      const outcome = await Promise.race([stopped, outcomeOf(() => work(root))]);
      if (outcome === 'stopped') return null;
      if (first && isMisuse(outcome)) throw outcome;
      tell(call, outcome, performance.now() - start);
      if ((await Promise.race([stopped, tree.changed()])) === 'stopped') return null;
    }
  } finally {
    tree.close();
  }
}

async function outcomeOf(work: () => Promise<Result>): Promise<Result | Error> {
  try {
    return await explained(work);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function isMisuse(outcome: Result | Error): outcome is Error {
  return outcome instanceof CliError && outcome.exit === EXIT.misused;
}

function tell(call: Call, outcome: Result | Error, ms: number): void {
  const failed = outcome instanceof Error;
  if (failed) call.complain(outcome);
  else call.report(outcome);
  if (call.json) return;
  const time = new Date().toTimeString().slice(0, 8);
  const [summary = ''] = failed ? outcome.message.split('\n', 1) : ['good'];
  const said = call.terminal.style(failed ? 'red' : 'green', summary);
  call.terminal.line(`${time} ${said} (${(ms / 1000).toFixed(2)} s); waiting for a change`);
}
