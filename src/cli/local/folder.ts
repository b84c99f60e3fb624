import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { privateFolder } from '../../authority/secret-file.ts';
import { addressProblem } from '../../config/address.ts';
import { FolderError } from '../../config/make-folder.ts';
import { type Call, textOption } from '../command.ts';
import { CliError, EXIT } from '../exit.ts';

/**
 * Two folders, which may be one. The user's (`~/.lemma`, LEMMA_HOME): session.json, firewall.json, setup.json, setup/,
 * control.secret, control.sock; there is one local firewall of a user. The data folder: operator.key, and of each runtime its
 * `.proof.json`, `.credential` and `.key`; a project may have its own.
 */

/** The user's folder. Not made here: see `openHome`. */
export function homeFolder({ env, folder }: Pick<Call, 'env' | 'folder'>): string {
  if (given(env.LEMMA_HOME)) return resolve(folder, env.LEMMA_HOME);
  return join(given(env.HOME) && process.platform !== 'win32' ? env.HOME : homedir(), '.lemma');
}

/** The user's folder, made (0700) or checked. Throws KeyFileError for a link, and for one that is open to others; CliError. */
export function openHome(call: Pick<Call, 'env' | 'folder'>): string {
  const folder = homeFolder(call);
  try {
    privateFolder(folder);
  } catch (error) {
    if (!(error instanceof FolderError)) throw error;
    throw new CliError('folder_unusable', `LEMMA_HOME: ${error.message}`, EXIT.misused);
  }
  return folder;
}

/** `--data`, LEMMA_DATA, else the project's `./.lemma` where there is one, else the user's folder. */
export function dataFolder(call: Pick<Call, 'env' | 'folder' | 'options'>): string {
  const named = namedDataFolder(call);
  if (named !== null) return named;
  const project = resolve(call.folder, '.lemma');
  return existsSync(project) ? project : homeFolder(call);
}

/** The data folder that somebody named; null: none. */
export function namedDataFolder(call: Pick<Call, 'env' | 'folder' | 'options'>): string | null {
  const named = textOption(call.options, 'data') ?? call.env.LEMMA_DATA;
  return given(named) ? resolve(call.folder, named) : null;
}

export function given(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

/** Files of the user's folder. */
export function homeFiles(home: string) {
  return {
    session: join(home, 'session.json'),
    firewall: join(home, 'firewall.json'),
    secret: join(home, 'control.secret'),
    log: join(home, 'firewall.log'),
    setup: join(home, 'setup.json'),
  } as const;
}

/**
 * Where the control channel listens: `control.sock` in the user's folder. A path that is too long for a socket is replaced
 * by one below the system's folder for temporary files, whose own folder is made (0700) or checked; Windows has a pipe.
 */
export function controlChannelPath(home: string): string {
  const digest = createHash('sha256').update(home).digest('hex').slice(0, 16);
  if (process.platform === 'win32') return `\\\\.\\pipe\\lemma-${digest}`;
  const usual = join(home, 'control.sock');
  if (addressProblem(`unix://${usual}`) === null) return usual;
  const short = join(tmpdir(), `lemma-${process.geteuid?.() ?? 0}-${digest}`);
  privateFolder(short);
  return join(short, 'control.sock');
}
