import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { member } from '../../../answer.ts';
import { type Call, textOption } from '../../../command.ts';
import { CliError } from '../../../exit.ts';
import { given } from '../../folder.ts';
import { addItem, EditError, readAt, setMember } from '../edit.ts';

/** `--config`; with `--project` that of the folder; else the user's: CLAUDE_CONFIG_DIR, ~/.claude. */
export function claudeSettingsPath({ options, env, folder }: Call): string {
  const named = textOption(options, 'config');
  if (given(named)) return resolve(folder, named);
  if (options.project === true) return join(folder, '.claude', 'settings.json');
  const home = given(env.HOME) ? env.HOME : homedir();
  return join(
    given(env.CLAUDE_CONFIG_DIR) ? resolve(folder, env.CLAUDE_CONFIG_DIR) : join(home, '.claude'),
    'settings.json',
  );
}

/** Seconds; the hook itself gives up sooner, for Claude Code goes on without one that it had to end. */
const TIMEOUT_S = 60;
const OURS = /\bhook claude-code\b/;

/** Throws CliError `hooks_disabled` where Claude Code would not run it. */
export function withHook(text: string, command: string): string {
  if (readAt(text, ['disableAllHooks']) === true)
    throw new CliError(
      'hooks_disabled',
      'settings.json: disableAllHooks is true: the hook would not run; change that first',
    );
  const path = ['hooks', 'PreToolUse'];
  const entry = { matcher: '*', hooks: [{ type: 'command', command, timeout: TIMEOUT_S }] };
  const groups = readAt(text, path) ?? [];
  if (!Array.isArray(groups)) throw new EditError(path, 'is no list');
  // One that somebody put more into is left as it is, as long as it runs ours.
  if (groups.some((group) => covers(group, command))) return text;
  const own = groups.findIndex((group) => hooksOf(group).length === 1 && OURS.test(hooksOf(group)[0] ?? ''));
  return own === -1 ? addItem(text, path, entry) : setMember(text, [...path, String(own)], entry);
}

function covers(group: unknown, command: string): boolean {
  return (
    ['*', '', null].includes(member(group, 'matcher') as string | null) && hooksOf(group).includes(command)
  );
}

/** The command lines of a group. */
function hooksOf(group: unknown): string[] {
  const hooks = member(group, 'hooks');
  return Array.isArray(hooks) ? hooks.map((hook) => String(member(hook, 'command'))) : [];
}

/** Claude Code, and what it starts, as clients of the firewall as a proxy. */
export function withProxy(text: string, listen: string): string {
  const proxy = `http://${listen}`;
  return ['HTTP_PROXY', 'HTTPS_PROXY'].reduce((said, name) => setMember(said, ['env', name], proxy), text);
}
