import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { Call } from '../../command.ts';
import { defineControlOptions } from '../../control-api.ts';
import { CliError, EXIT } from '../../exit.ts';

/** What every setup command takes. `agent` is the default of the ids. */
export function defineSetupOptions(command: Command, agent: string): void {
  defineControlOptions(command);
  command
    .option('-y, --yes', 'Ask nothing')
    .option('--dry-run', 'Show what would change, as a diff, and change nothing')
    .option('--undo', 'Put everything back as it was')
    .option('--force', 'With --undo: put the backup back over what was changed since')
    .option('--runtime-id <id>', `The runtime (default: LEMMA_RUNTIME_ID, ${agent})`)
    .option('--agent-id <id>', `The agent that runs in it (default: LEMMA_AGENT_ID, ${agent})`)
    .option('--workspace-id <id>', 'Where it works (default: LEMMA_WORKSPACE_ID, default)')
    .option('--no-browser', 'Open no browser where somebody must sign in: show the address only');
}

/** Throws CliError `approval_needed` where nobody can be asked, `declined`. */
export async function approval(call: Call, plan: readonly string[]): Promise<void> {
  if (call.options.yes === true) return;
  if (!call.terminal.interactive || !process.stdin.isTTY || call.json)
    throw new CliError(
      'approval_needed',
      'this changes files of another program: look at it with --dry-run, then say --yes',
      EXIT.misused,
    );
  for (const line of plan) call.terminal.note(line);
  const asked = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await asked.question('Go on? [y/N] ');
  asked.close();
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new CliError('declined', 'nothing was changed');
}
