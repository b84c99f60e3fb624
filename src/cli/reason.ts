import type { Command } from 'commander';
import { type Call, textOption } from './command.ts';

export function defineReason(command: Command): void {
  command.option('--reason <text>', 'Why, for the log');
}

/** As the control plane takes it: absent where none was given. */
export function reasonOf({ options }: Pick<Call, 'options'>): { readonly reason?: string } {
  const reason = textOption(options, 'reason');
  return reason === undefined ? {} : { reason };
}
