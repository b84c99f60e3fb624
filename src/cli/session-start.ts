import type { Command } from 'commander';
import { PERMISSIONS } from '../schema/access.ts';
import { type Call, collect, listOption, type Result } from './command.ts';
import { misuse } from './exit.ts';
import { openBrowser } from './local/browser.ts';
import { askForCode, awaitApproval, clientName, type DeviceToken } from './local/device-flow.ts';
import { openHome } from './local/folder.ts';
import { baseFor, DEFAULT_BASE } from './local/place.ts';
import { describe, LAPTOP_PERMISSIONS, sessionShown } from './local/sign-in.ts';
import { writeSession } from './local/state.ts';
import { SIGNALS } from './signals.ts';

export function define(command: Command): void {
  command
    .option('--api-base <url>', `The control plane (default: LEMMA_BASE_URL, else ${DEFAULT_BASE})`)
    .option(
      '--permission <permission>',
      `What to ask for; again for more (default: ${LAPTOP_PERMISSIONS.join(', ')})`,
      collect,
    )
    .option('--no-browser', 'Open no browser: show the address only');
}

/** RFC 8628: a signed-in operator compares a code and says yes; then the session lies in `session.json`. */
export async function run(call: Call): Promise<Result> {
  const asked = permissionsOf(call);
  const base = baseFor(call);
  const home = openHome(call);
  const { token, expires_in } = await untilInterrupted((signal) => tokenFor(call, base, asked, signal));
  const expires_at = new Date(Date.now() + expires_in * 1000).toISOString();
  const session = await describe({ kind: 'device', base, token, expires_at }, call);
  writeSession(home, session);
  return {
    data: sessionShown(session),
    lines: [
      `Signed in at ${base} as ${session.operator} (${session.org}/${session.env}) until ${expires_at}`,
      `  may       ${session.permissions.join(' ')}`,
      ...(session.authority_keys.length > 0
        ? []
        : ['  note      without nodes.connect a local firewall cannot follow this control plane']),
    ],
  };
}

async function tokenFor(
  call: Call,
  base: string,
  asked: readonly string[],
  signal: AbortSignal,
): Promise<DeviceToken> {
  const client = clientName();
  const code = await askForCode(base, client, asked.join(' '));
  const page = code.verification_uri_complete ?? code.verification_uri;
  call.terminal.note(`To let this computer act for you at ${base}, open`);
  call.terminal.note(`  ${page}`);
  call.terminal.note(`and compare the code: ${call.terminal.styleNote('bold', code.user_code)}`);
  if (call.terminal.interactive && !call.json && call.options.browser !== false) openBrowser(page);
  return awaitApproval(base, client, code, signal);
}

function permissionsOf(call: Call): string[] {
  const named = listOption(call.options, 'permission');
  const strange = named.find((name) => !PERMISSIONS.some((one) => one === name));
  if (strange !== undefined)
    throw misuse(`--permission must be one of ${PERMISSIONS.join(', ')}, not "${strange}"`);
  return named.length > 0 ? named : [...LAPTOP_PERMISSIONS];
}

async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController();
  const abort = () => interrupted.abort();
  for (const signal of SIGNALS) process.once(signal, abort);
  try {
    return await work(interrupted.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, abort);
  }
}
