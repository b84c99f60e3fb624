import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { randomBytes } from '#runtime';
import { privateFolder, readSecret, removeSecret, replaceSecret } from '../../authority/secret-file.ts';
import { toBase64url } from '../../crypto/base64url.ts';
import { JsonError, readJsonText } from '../../crypto/json.ts';
import {
  type FirewallState,
  firewallStateSchema,
  type SessionState,
  type SetupJournal,
  type SetupState,
  sessionSchema,
  setupJournalSchema,
  setupSchema,
} from '../../schema/local-state.ts';
import { type Checked, checkerOf } from '../../schema/validate.ts';
import { CliError } from '../exit.ts';
import { homeFiles } from './folder.ts';

/**
 * The documents in the user's folder. Read whole and checked, or refused (CliError `state_invalid`, KeyFileError for a
 * file that is a link, open to others or another user's); written whole or not at all.
 */

const checkSession = checkerOf<SessionState>(sessionSchema);
const checkSetup = checkerOf<SetupState>(setupSchema);
const checkJournal = checkerOf<SetupJournal>(setupJournalSchema);
const checkFirewall = checkerOf<FirewallState>(firewallStateSchema);

/** Null: nobody is signed in here. */
export function readSession(home: string): SessionState | null {
  return readState(homeFiles(home).session, checkSession, 'begin a new one with `lemma session start`');
}

export function writeSession(home: string, session: SessionState): void {
  replaceFile(homeFiles(home).session, JSON.stringify(session, null, 2));
}

export function removeSession(home: string): void {
  removeSecret(homeFiles(home).session);
}

/** Null: no local firewall was started, or the last one tidied up. It may be stale: ask the control channel. */
export function readFirewallState(home: string): FirewallState | null {
  return readState(homeFiles(home).firewall, checkFirewall, 'take the file away if no firewall runs');
}

export function writeFirewallState(home: string, state: FirewallState): void {
  replaceFile(homeFiles(home).firewall, JSON.stringify(state, null, 2));
}

const NO_SETUP: SetupState = { v: 1, agents: [], mcp: [] };

/** What the setup commands have the local firewall serve. */
export function readSetup(home: string): SetupState {
  const mend = 'mend it, or take it away and run the setup commands again';
  return readState(homeFiles(home).setup, checkSetup, mend) ?? NO_SETUP;
}

/** Gives whether that changed anything. */
export function writeSetup(home: string, setup: SetupState): boolean {
  if (isDeepStrictEqual(setup, readSetup(home))) return false;
  replaceFile(homeFiles(home).setup, JSON.stringify(setup, null, 2));
  return true;
}

/** Null: the setup command of this name changed no file, or undid it. */
export function readJournal(home: string, name: string): SetupJournal | null {
  return readState(journalFile(home, name), checkJournal, 'put the backups that it names back by hand');
}

export function writeJournal(home: string, name: string, journal: SetupJournal): void {
  const file = journalFile(home, name);
  if (journal.files.length === 0) {
    removeSecret(file);
  } else {
    privateFolder(dirname(file));
    replaceFile(file, JSON.stringify(journal, null, 2));
  }
}

function journalFile(home: string, name: string): string {
  return join(home, 'setup', `${name}.json`);
}

/** Takes away what the firewall left behind; with `instance` only where it is that one's. */
export function removeFirewallState(home: string, instance?: string): void {
  const { firewall, secret } = homeFiles(home);
  if (instance !== undefined && readFirewallState(home)?.instance !== instance) return;
  removeSecret(firewall);
  removeSecret(secret);
}

/**
 * A file of mode 0600 in the place of whatever is there (a link is replaced, not followed): at each moment one of the two is
 * there, whole.
 */
export function replaceFile(path: string, text: string): void {
  const draft = `${path}.${toBase64url(randomBytes(9))}.draft`;
  try {
    writeFileSync(draft, text, { flag: 'wx', mode: 0o600, flush: true });
    replaceSecret(draft, path);
  } catch (error) {
    removeSecret(draft);
    throw error;
  }
}

function readState<T>(path: string, check: (value: unknown) => Checked<T>, mend: string): T | null {
  const text = readSecret(path);
  if (text === null) return null;
  const invalid = (what: string) =>
    new CliError('state_invalid', `${path}: ${what}: ${mend}`, undefined, { file: path });
  let value: unknown;
  try {
    const read = readJsonText(text, { maxDepth: 8, numbers: 'integer' });
    if (read.duplicate !== null) throw invalid(`has the key "${read.duplicate}" twice`);
    ({ value } = read);
  } catch (error) {
    throw error instanceof JsonError ? invalid(`is not JSON (${error.message})`) : error;
  }
  const checked = check(value);
  if (checked.ok) return checked.value;
  const [first] = checked.problems;
  throw invalid(`${first?.field ?? ''} ${first?.message ?? 'is not as it should be'}`.trim());
}
