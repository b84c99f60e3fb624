import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readSecret } from '../../authority/secret-file.ts';
import { isLocal } from '../../config/address.ts';
import type { FirewallState, SessionState } from '../../schema/local-state.ts';
import { type Call, textOption } from '../command.ts';
import { CliError, misuse } from '../exit.ts';
import { dataFolder, given, homeFolder, namedDataFolder } from './folder.ts';
import { readFirewallState, readSession } from './state.ts';

/** Where the control plane is, and what opens it. */
export interface Place {
  readonly base: string;
  readonly token: string;
  /** Which credential it is, for a person. */
  readonly as: string;
  /** It is that of `session.json`, which nobody named in this call. */
  readonly stored: boolean;
}

export const DEFAULT_BASE = 'http://127.0.0.1:8080';
const OPERATOR_KEY = 'operator.key';

/**
 * Which control plane: `--api-base`, LEMMA_BASE_URL; else the one whose operator.key is in `--data`, LEMMA_DATA or the
 * project's `./.lemma`; else that of the local firewall that runs; else that of the session; else the usual port here.
 *
 * With what: LEMMA_OPERATOR_KEY, LEMMA_API_KEY; else operator.key of a folder that was named; else the session, if it is of this
 * very control plane; else the owner key of the local firewall that has this control plane in it; else operator.key of the data
 * folder, which never leaves this machine unless its folder was named.
 *
 * Throws CliError: a base that is no place for a key, or nothing that opens it.
 */
export function placeOf(call: Call): Place {
  const home = homeFolder(call);
  const firewall = liveFirewall(home);
  const session = readSession(home);
  const base = plainBase(baseOf(call, firewall, session));
  return { base, ...credentialOf(call, base, { firewall, session }) };
}

/** The base alone, for what needs no credential. */
export function baseFor(call: Call): string {
  const home = homeFolder(call);
  return plainBase(baseOf(call, liveFirewall(home), readSession(home)));
}

interface Known {
  readonly firewall: FirewallState | null;
  readonly session: SessionState | null;
}

function baseOf(call: Call, firewall: FirewallState | null, session: SessionState | null): string {
  const said = textOption(call.options, 'apiBase') ?? call.env.LEMMA_BASE_URL;
  if (given(said)) return said;
  const folder = ownFolder(call);
  if (folder !== null) return firewall?.data === folder ? firewall.control_plane : DEFAULT_BASE;
  return firewall?.control_plane ?? session?.api_base ?? DEFAULT_BASE;
}

/** The folder of a control plane of this machine that the call is in, or names. */
function ownFolder(call: Call): string | null {
  const named = namedDataFolder(call);
  if (named !== null) return named;
  const project = resolve(call.folder, '.lemma');
  return project !== homeFolder(call) && existsSync(join(project, OPERATOR_KEY)) ? project : null;
}

function credentialOf(call: Call, base: string, { firewall, session }: Known): Omit<Place, 'base'> {
  for (const name of ['LEMMA_OPERATOR_KEY', 'LEMMA_API_KEY'] as const) {
    const key = call.env[name]?.trim();
    if (given(key)) return { token: checked(key, name), as: name, stored: false };
  }
  const named = namedDataFolder(call);
  const inNamed = named === null ? null : keyIn(join(named, OPERATOR_KEY));
  if (inNamed !== null) return inNamed;
  if (session?.api_base === base && !ended(session)) {
    const kind = session.kind === 'api_key' ? 'the stored API key' : 'the session';
    return { token: session.token, as: `${kind} of ${session.operator}`, stored: true };
  }
  if (firewall?.control_plane === base && firewall.operator_key_file !== null) {
    const key = keyIn(firewall.operator_key_file);
    if (key !== null) return key;
  }
  const file = join(dataFolder(call), OPERATOR_KEY);
  const key = isHere(base) && named === null ? keyIn(file) : null;
  if (key !== null) return key;
  throw missing(call, base, { session, file });
}

function missing(
  call: Call,
  base: string,
  { session, file }: { session: SessionState | null; file: string },
): CliError {
  const { program } = call;
  if (session?.api_base === base)
    return new CliError(
      'session_expired',
      `the session at ${base} ended at ${session.expires_at}: \`${program} session start\``,
    );
  return new CliError(
    'operator_key_missing',
    `nothing here opens ${base}: no operator key at ${file} (run \`${program} start\` or \`${program} serve\`, or give --data <folder>), no session (\`${program} session start --api-base ${base}\`), and neither LEMMA_API_KEY nor LEMMA_OPERATOR_KEY is set`,
  );
}

export function ended({ expires_at }: Pick<SessionState, 'expires_at'>, now = Date.now()): boolean {
  return expires_at !== null && Date.parse(expires_at) <= now;
}

function keyIn(path: string): Omit<Place, 'base'> | null {
  const text = readSecret(path)?.trim();
  return text === undefined ? null : { token: checked(text, path), as: path, stored: false };
}

function checked(key: string, from: string): string {
  if (/^[\x21-\x7e]+$/.test(key)) return key;
  throw new CliError('operator_key_invalid', `${from}: is empty, or holds no key`);
}

/** What `firewall.json` says, as long as its process is there. */
function liveFirewall(home: string): FirewallState | null {
  const state = readFirewallState(home);
  return state !== null && processLives(state.pid) ? state : null;
}

/** A process of another user is one all the same. */
export function processLives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** A credential opens everything of its operator: it goes over TLS, or stays on this machine. */
export function plainBase(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw misuse(`the control plane must be an http or https URL, not "${text}"`);
  }
  if (url.username !== '' || url.search !== '' || url.hash !== '') {
    throw misuse('the control plane must be a plain URL: no user, query or fragment');
  }
  if (url.protocol === 'http:' && !isHere(url.href)) {
    throw misuse(`${url.origin} would get the operator key in the clear: use https`);
  }
  return `${url.origin}${url.pathname.replace(/\/$/, '')}`;
}

function isHere(base: string): boolean {
  const host = URL.parse(base)?.hostname.replace(/^\[|\]$/g, '') ?? '';
  return isLocal({ kind: 'tcp', host, port: 0 });
}
