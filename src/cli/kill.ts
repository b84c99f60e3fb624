import type { Command } from 'commander';
import { type Call, type Result, textOption } from './command.ts';
import { cell, controlApi, defineControlOptions } from './control-api.ts';

export function define(command: Command): void {
  command.argument('<runtime-id>', 'The runtime');
  command.option('--reason <text>', 'Why, for the log');
  defineControlOptions(command);
}

/** From the answer on, no node lets the runtime through; where one has not confirmed it, the answer says until when. */
export async function run(call: Call): Promise<Result> {
  const [runtime = ''] = call.args;
  const reason = textOption(call.options, 'reason');
  const path = `/api/wallet/runtimes/${encodeURIComponent(runtime)}/kill`;
  const { success: _, ...answer } = await controlApi(call).post(path, reason === undefined ? {} : { reason });
  const enforced =
    answer.enforced === true
      ? `${runtime} is killed: everything it asks for is denied (event ${cell(answer.seq)})`
      : `${runtime} is killed; not every node has confirmed it: enforced by ${cell(answer.enforced_by)} at the latest`;
  return { data: answer, lines: [enforced] };
}
