import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { makeFolder } from '../../../../config/make-folder.ts';
import { CliError } from '../../../exit.ts';
import type { Hook } from '../prove.ts';
import type { PluginPlace } from './config.ts';
import { PLUGIN_FILES, PLUGIN_ID } from './plugin.ts';

export function pluginFolder(home: string): string {
  return join(home, 'openclaw', PLUGIN_ID);
}

/** Writes what is not there as it must be; gives whether there was any. */
export function installPlugin(folder: string): boolean {
  makeFolder(folder, 0o700);
  const stale = Object.entries(PLUGIN_FILES).filter(([name, text]) => textOf(join(folder, name)) !== text);
  for (const [name, text] of stale) {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    chmodSync(join(folder, name), 0o600);
  }
  return stale.length > 0;
}

export function removePlugin(folder: string): boolean {
  const there = existsSync(folder);
  rmSync(dirname(folder), { recursive: true, force: true });
  return there;
}

function textOf(path: string): string | null {
  return existsSync(path) ? readFileSync(path, 'utf8') : null;
}

type Handler = (event: object) => Promise<{ block?: boolean; blockReason?: string } | undefined>;

/** The installed plugin, registered as OpenClaw does it. */
export async function pluginHook({ folder, firewall, agent }: PluginPlace): Promise<Hook> {
  // By its name alone a changed file would not be read anew.
  const { default: plugin, latest } = await import(
    `${pathToFileURL(join(folder, 'index.js')).href}?${Date.now()}`
  );
  return async (tool, shown) => {
    const handlers: Handler[] = [];
    const pluginConfig = { firewall, agent, ...(shown === null ? {} : { credential: shown }) };
    plugin.register({
      pluginConfig,
      on: (name: string, handler: Handler) => name === 'before_tool_call' && handlers.push(handler),
    });
    const [handler] = handlers;
    if (handler === undefined) throw new CliError('check_failed', `${folder}: registers no hook`);
    const answer = await handler({ toolName: tool, params: { lemma_canary: true } });
    return answer?.block === true
      ? { allowed: false, message: String(answer.blockReason) }
      : { allowed: true, message: String(latest.decision) };
  };
}
