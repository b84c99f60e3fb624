import type { Command } from 'commander';
import type { Environment } from '../config/environment.ts';
import { misuse } from './exit.ts';
import type { Terminal } from './terminal.ts';

/** What a command is told. */
export interface Call {
  readonly args: readonly string[];
  readonly options: Options;
  readonly env: Environment;
  /** The folder that relative paths are meant from. */
  readonly folder: string;
  /** How the program was called (`lemma`), for commands that are printed to be copied. */
  readonly program: string;
  readonly json: boolean;
  readonly terminal: Terminal;
  /** Says the result before the command ends, for one that goes on running. */
  report(result: Result): void;
  /** Says what went wrong, as for a command that ends by it, and goes on. */
  complain(error: unknown): void;
}

/** What a command found: `data` for machines, `lines` for a person. */
export interface Result {
  readonly data: unknown;
  readonly lines: readonly string[];
  /** The answer was found, and is no: said as `error_code`, with exit code 1. */
  readonly failure?: string;
}

/** A command's file. It is loaded only when the command is called. */
export interface CommandFile {
  /** Declares arguments and options. */
  define(command: Command): void;
  /** Null: all was said already. Throws CliError, ConfigError. */
  run(call: Call): Promise<Result | null>;
}

export type Options = Readonly<Record<string, unknown>>;

export function textOption(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

export function listOption(options: Options, name: string): string[] {
  const value = options[name];
  return Array.isArray(value) ? value.map(String) : [];
}

/** A whole number from 0, or a misuse. */
export function countOption(options: Options, name: string, flag: string): number | undefined {
  const text = textOption(options, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d{1,15}$/.test(text)) throw misuse(`${flag} must be a whole number, not "${text}"`);
  return value;
}

/** For commander: an option that may be given several times. */
export function collect(value: string, before: unknown): string[] {
  return [...(Array.isArray(before) ? before.map(String) : []), value];
}
