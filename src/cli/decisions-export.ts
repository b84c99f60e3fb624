import { createWriteStream, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { type Call, type Result, textOption } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { CliError, misuse } from './exit.ts';

export function define(command: Command): void {
  command.option('-o, --out <file>', 'File to write, never over another (default: standard output)');
  command.option('--records-only', 'Leave out what `lemma decisions verify` needs beside the records');
  defineControlOptions(command);
}

/** Each record as it is stored, one per line, and checkpoints on lines of their own. A file holds the whole log or is not there. */
export async function run(call: Call): Promise<Result | null> {
  const out = textOption(call.options, 'out');
  if (out === undefined && call.json)
    throw misuse('--json needs --out <file>: the export itself goes to standard output');
  const stream = await controlApi(call).stream(exportPath(call.options.recordsOnly !== true));
  if (out === undefined) {
    for await (const chunk of stream) await call.terminal.write(chunk);
    return null;
  }
  const file = resolve(call.folder, out);
  const records = await save(stream, file);
  return { data: { file, records }, lines: [`${records} records in ${file}`] };
}

/** The whole log: with what proves it, or records alone. */
export function exportPath(proven: boolean): string {
  return `/api/wallet/runtimes/decisions/export${proven ? '?proven=true' : ''}`;
}

const LINE_FEED = 0x0a;
/** Lines beside the records are told by their third byte: {"checkpoint", {"pruned", {"withheld", {"end". */
const THIRD = 2;
const STATEMENTS: ReadonlySet<number> = new Set(Buffer.from('cpwe'));

async function save(stream: ReadableStream<Uint8Array>, file: string): Promise<number> {
  let records = 0;
  let column = 0;
  const count = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      for (const byte of chunk) {
        if (column === THIRD && !STATEMENTS.has(byte)) records++;
        column = byte === LINE_FEED ? 0 : column + 1;
      }
      yield chunk;
    }
  };
  const target = createWriteStream(file, { flags: 'wx', mode: 0o600 });
  try {
    await pipeline(Readable.from(stream), count, target);
    return records;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (code === 'EEXIST') throw new CliError('file_exists', `${file} is there already`);
    rmSync(file, { force: true });
    throw new CliError('export_broken', `the export broke off, ${file} was not kept: ${String(error)}`);
  }
}
