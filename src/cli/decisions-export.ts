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
  defineControlOptions(command);
}

/** Each record as it is stored, one per line. A file holds the whole log or is not there. */
export async function run(call: Call): Promise<Result | null> {
  const out = textOption(call.options, 'out');
  if (out === undefined && call.json)
    throw misuse('--json needs --out <file>: the export itself goes to standard output');
  const stream = await controlApi(call).stream('/api/wallet/runtimes/decisions/export');
  if (out === undefined) {
    for await (const chunk of stream) await call.terminal.write(chunk);
    return null;
  }
  const file = resolve(call.folder, out);
  const records = await save(stream, file);
  return { data: { file, records }, lines: [`${records} records in ${file}`] };
}

async function save(stream: ReadableStream<Uint8Array>, file: string): Promise<number> {
  let records = 0;
  const count = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      for (const byte of chunk) if (byte === 0x0a) records++;
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
