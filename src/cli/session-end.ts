import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { homeFolder } from './local/folder.ts';
import { readSession, removeSession } from './local/state.ts';

export function define(_command: Command): void {}

/** Forgets the session here. The token itself ends in its time, or when an operator revokes it. */
export async function run(call: Call): Promise<Result> {
  const home = homeFolder(call);
  const session = readSession(home);
  removeSession(home);
  return {
    data: { ended: session !== null, api_base: session?.api_base ?? null },
    lines: [session === null ? 'Nobody was signed in here' : `Signed out of ${session.api_base}`],
  };
}
