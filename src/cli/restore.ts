import { chmodSync, constants, copyFileSync, existsSync, linkSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { knownCheckpointKeys } from '../authority/key-ring.ts';
import { KeyFileError, privateFolder } from '../authority/secret-file.ts';
import { FolderError } from '../config/make-folder.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { StoreOpenError } from '../store/errors.ts';
import { openRestoring } from '../store/restore.ts';
import { checkCopy } from './check-copy.ts';
import { type Call, collect, listOption, type Result } from './command.ts';
import { CliError, EXIT } from './exit.ts';
import { dataFolder } from './local/folder.ts';
import { publicKeys } from './policy-keys.ts';

export function define(command: Command): void {
  command.argument('<file>', 'A file that `lemma backup` made');
  command.option('--data <folder>', 'Data folder, without a database', './.lemma');
  command.option(
    '--key <key>',
    'Trusted public key of checkpoints: base64url, JWK, or file of a JWK (repeatable; default: what the key in the data folder endorses, or without one what the backup names)',
    collect,
  );
}

interface Restored {
  readonly taken_at: number;
  readonly records: number;
  readonly runtimes: number;
  readonly killed: number;
  readonly events: number;
  /** False: there was no key in the folder to say which keys may vouch for the log; the backup itself did. */
  readonly keys_endorsed: boolean;
}

/**
 * Makes a backup the store of a data folder that has none. It is checked first, and then fenced: what happened after it was
 * taken is not known, so what was issued until now counts no more.
 */
export async function run(call: Call): Promise<Result> {
  const [name = ''] = call.args;
  const source = resolve(call.folder, name);
  const folder = dataFolder(call);
  const target = join(folder, 'lemma.db');
  const now = Date.now();
  refuseExisting(target);
  const draft = `${target}.restoring`;
  try {
    copyTo(source, draft, folder);
    const restored = await checkAndFence(call, folder, draft, now);
    linkSync(draft, target);
    const data = { database: target, restored_at: now, ...restored };
    return { data, lines: warnings(call, target, now, restored) };
  } catch (error) {
    throw known(error);
  } finally {
    for (const companion of ['', '-wal', '-shm', '-journal']) rmSync(draft + companion, { force: true });
  }
}

async function checkAndFence(call: Call, folder: string, draft: string, now: number): Promise<Restored> {
  const copy = openRestoring(draft, now);
  try {
    const given = publicKeys(call, listOption(call.options, 'key'));
    const { keys, endorsed } =
      given.length > 0
        ? { keys: new Map(given.map((key) => [thumbprint(key), key])), endorsed: true }
        : knownCheckpointKeys(folder, await copy.signingKeys());
    const { records } = await checkCopy(copy, keys, 'the backup');
    copy.fence(now);
    return { taken_at: copy.mark.taken_at, records, keys_endorsed: endorsed, ...copy.counts() };
  } finally {
    copy.close();
  }
}

function refuseExisting(target: string): void {
  const there = ['', '-wal'].map((companion) => target + companion).find((path) => existsSync(path));
  if (there === undefined) return;
  throw new CliError(
    'store_exists',
    `${there} is there: a restore never replaces a store. Stop the service and move it away first`,
  );
}

function copyTo(source: string, draft: string, folder: string): void {
  privateFolder(folder);
  // What an earlier restore left when it was broken off.
  rmSync(draft, { force: true });
  try {
    copyFileSync(source, draft, constants.COPYFILE_EXCL);
  } catch (error) {
    throw new CliError('file_unreadable', `${source} cannot be copied: ${String(error)}`);
  }
  chmodSync(draft, 0o600);
}

function known(error: unknown): unknown {
  if (error instanceof StoreOpenError) return new CliError(error.code, error.message);
  if (error instanceof FolderError)
    return new CliError('data_unusable', `--data: ${error.message}`, EXIT.misused);
  return error instanceof KeyFileError ? new CliError('data_unusable', error.message) : error;
}

function warnings(call: Call, target: string, now: number, restored: Restored): string[] {
  const { records, runtimes, killed } = restored;
  const taken = new Date(restored.taken_at).toISOString();
  const loud = `WHAT HAPPENED AFTER ${taken} IS NOT KNOWN HERE: kills, revocations, taints, registrations.`;
  return [
    `${target}: ${records} records, ${runtimes} runtimes (${killed} killed), as of ${taken}`,
    call.terminal.style(['bold', 'yellow'], loud),
    `Every proof issued before ${new Date(now).toISOString()} is denied (revoked): kill again what was killed since,`,
    'then issue new ones, runtime by runtime. A new epoch begins; keys that signed no more are retired.',
    ...(restored.keys_endorsed
      ? []
      : ['The folder has no keys: the log was checked with those that the backup itself names.']),
  ];
}
