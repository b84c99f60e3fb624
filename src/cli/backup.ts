import { createWriteStream, linkSync, rmSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { publicKeysOf } from '../authority/key-ring.ts';
import { openBackup } from '../store/reader.ts';
import { checkCopy } from './check-copy.ts';
import type { Call, Result } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { CliError } from './exit.ts';
import { signingKeysOf } from './signing-keys.ts';

export function define(command: Command): void {
  command.argument('<file>', 'File to write, never over another');
  defineControlOptions(command);
}

/** The store of the running service in one file, 0600, whole and checked or not there. Private keys are not in it. */
export async function run(call: Call): Promise<Result> {
  const [name = ''] = call.args;
  const file = resolve(call.folder, name);
  const partial = `${file}.partial`;
  for (const path of [file, partial]) {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) throw exists(path);
  }
  const api = controlApi(call);
  const keys = publicKeysOf(signingKeysOf(await api.get('/api/wallet/keys')), 'checkpoint');
  try {
    await receive(await api.download('/api/wallet/backup'), partial);
    const copy = openBackup(partial);
    const checked = await checkCopy(copy, keys, 'the backup').finally(() => copy.close());
    place(partial, file);
    const { size } = statSync(file);
    return {
      data: { file, bytes: size, ...checked },
      lines: [
        `${file}: ${size} bytes, ${checked.records} records, checked`,
        'The keys are not in it: keep a copy of the folder `keys` apart, as the secret that it is.',
      ],
    };
  } finally {
    rmSync(partial, { force: true });
  }
}

async function receive(
  { body, bytes }: { readonly body: ReadableStream<Uint8Array>; readonly bytes: number },
  path: string,
): Promise<void> {
  try {
    await pipeline(Readable.from(body), createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true }));
  } catch (error) {
    throw new CliError('backup_broken', `the backup broke off and was not kept: ${String(error)}`);
  }
  const { size } = statSync(path);
  if (size !== bytes) throw new CliError('backup_broken', `${size} of ${bytes} bytes came: it was not kept`);
}

/** A link fails where the name is taken; a rename would replace what is there. */
function place(partial: string, file: string): void {
  try {
    linkSync(partial, file);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') throw exists(file);
    throw error;
  }
}

function exists(file: string): CliError {
  return new CliError('file_exists', `${file} is there already`);
}
