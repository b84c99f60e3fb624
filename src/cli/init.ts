import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { DEFAULT_FILE, loadConfig } from '../config/load.ts';
import { type Call, type Result, textOption } from './command.ts';
import { CliError } from './exit.ts';
import { checkCommand, connectCommand, EXAMPLE_RUNTIME, shown } from './next-steps.ts';
import { STARTER } from './starter.ts';

export function define(command: Command): void {
  command.option('-c, --config <file>', `File to write (default: ${DEFAULT_FILE})`);
}

/** Writes a starter configuration, never over another, and says what leads from it to an allowed request. */
export async function run(call: Call): Promise<Result> {
  const named = textOption(call.options, 'config');
  const file = resolve(call.folder, named ?? DEFAULT_FILE);
  const name = shown(file, call.folder);
  writeNew(file, name);
  const { config } = loadConfig({ file, flags: {}, env: {}, cwd: call.folder });
  const steps = { program: call.program, folder: call.folder, config };
  const serve = named === undefined ? `${call.program} serve` : `${call.program} serve --config ${name}`;
  const credential = resolve(config.data, `${EXAMPLE_RUNTIME.runtime}.credential`);
  const commands = [serve, connectCommand(steps), checkCommand(steps, credential)].filter((c) => c !== null);
  return {
    data: { file, commands },
    lines: [
      `${name} is written. To a first allowed request:`,
      ...['run the service', 'in another terminal, connect a runtime', 'and ask'].flatMap((what, i) => [
        '',
        `${i + 1}. ${what}:`,
        `${commands[i]}`,
      ]),
    ],
  };
}

function writeNew(file: string, name: string): void {
  try {
    writeFileSync(file, STARTER, { flag: 'wx' });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (code === 'EEXIST')
      throw new CliError('file_exists', `${name} is there already: edit it, or take it away first`);
    if (code === 'ENOENT')
      throw new CliError('folder_missing', `${name} cannot be written: its folder is not there`);
    throw error;
  }
}
