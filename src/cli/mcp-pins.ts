import { join } from 'node:path';
import type { Command } from 'commander';
import { PIN_FILE } from '../firewall/mcp/pin-file.ts';
import type { Call } from './command.ts';
import { dataFolder, homeFolder, namedDataFolder } from './local/folder.ts';
import { readFirewallState } from './local/state.ts';

export function definePins(command: Command): void {
  command.option('--data <folder>', "The firewall's data folder (default: that of the one that runs)");
}

/** Where the firewall keeps its pins: the folder that is named, else that of the one that runs. */
export function pinFileOf(call: Call): string {
  const running = namedDataFolder(call) === null ? readFirewallState(homeFolder(call)) : null;
  return join(running?.data ?? dataFolder(call), PIN_FILE);
}

/** What a server said, as one line that no terminal obeys. */
export function plain(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
