import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Call, textOption } from '../../../command.ts';
import { CliError } from '../../../exit.ts';
import { given } from '../../folder.ts';
import { addItem, readAt, setMember } from '../edit.ts';
import { PLUGIN_ID } from './plugin.ts';

/** `--config`, else where OpenClaw looks: OPENCLAW_CONFIG_PATH, OPENCLAW_STATE_DIR, OPENCLAW_HOME, ~/.openclaw. */
export function openclawConfigPath({ options, env, folder }: Call): string {
  const named = textOption(options, 'config') ?? env.OPENCLAW_CONFIG_PATH;
  const home = [env.OPENCLAW_HOME, env.HOME].find(given) ?? homedir();
  const path = (text: string) => resolve(folder, text.replace(/^~(?=\/|$)/, home));
  if (given(named)) return path(named);
  if (given(env.OPENCLAW_STATE_DIR)) return join(path(env.OPENCLAW_STATE_DIR), 'openclaw.json');
  return join(path(home), '.openclaw', 'openclaw.json');
}

export interface PluginPlace {
  /** Its folder, absolute. */
  readonly folder: string;
  /** Origin of the firewall. */
  readonly firewall: string;
  readonly agent: string;
}

/** Throws CliError `plugins_disabled` where OpenClaw would not load it. */
export function withPlugin(text: string, { folder, firewall, agent }: PluginPlace): string {
  refuseDisabled(text);
  const loaded = addItem(text, ['plugins', 'load', 'paths'], folder);
  const entry = ['plugins', 'entries', PLUGIN_ID];
  const enabled = setMember(loaded, [...entry, 'enabled'], true);
  const configured = setMember(enabled, [...entry, 'config', 'firewall'], firewall);
  const named = setMember(configured, [...entry, 'config', 'agent'], agent);
  // A list of those that may load: without one, all may.
  return Array.isArray(readAt(named, ['plugins', 'allow']))
    ? addItem(named, ['plugins', 'allow'], PLUGIN_ID)
    : named;
}

function refuseDisabled(text: string): void {
  const denied = readAt(text, ['plugins', 'deny']);
  const why =
    readAt(text, ['plugins', 'enabled']) === false
      ? 'plugins.enabled is false'
      : Array.isArray(denied) && denied.includes(PLUGIN_ID)
        ? `plugins.deny has ${PLUGIN_ID}`
        : null;
  if (why !== null)
    throw new CliError(
      'plugins_disabled',
      `openclaw.json: ${why}: the hook would not run; change that first`,
    );
}
