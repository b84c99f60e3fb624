import type { Command } from 'commander';
import { type Call, countOption, type Result, textOption } from './command.ts';
import { cell, defineControlOptions, member } from './control-api.ts';
import { misuse } from './exit.ts';
import { askVerb } from './runtime-verb.ts';

export function define(command: Command): void {
  command.argument('<runtime-id>', 'The runtime');
  command.option('--killed', 'It was killed: it may be bound anew, and what was bound before stays dead');
  command.option('--epoch <n>', 'With --killed: the taint epoch that you looked at');
  command.option('--reason <text>', 'Why, for the log; --killed needs one');
  defineControlOptions(command);
}

/** Ends a containment, or with `--killed` lets a killed runtime be bound anew. */
export async function run(call: Call): Promise<Result> {
  const epoch = countOption(call.options, 'epoch', '--epoch');
  const killed = call.options.killed === true;
  if (killed && (epoch === undefined || textOption(call.options, 'reason') === undefined))
    throw misuse('--killed needs --epoch, as `lemma runtimes list` shows it, and --reason');
  if (!killed && epoch !== undefined) throw misuse('--epoch goes with --killed');
  const answer = killed
    ? await askVerb(call, 'reactivate', { taint_epoch: epoch })
    : await askVerb(call, 'resume');
  const state = cell(member(answer, 'runtime', 'status'));
  const next = killed
    ? `, under epoch ${cell(member(answer, 'runtime', 'taint_epoch'))}: issue a new proof`
    : '';
  return { data: answer, lines: [`${call.args[0]} is ${state}${next}`] };
}
