import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { CliError } from './exit.ts';
import { findFirewall } from './local/control-channel.ts';
import { homeFolder } from './local/folder.ts';
import { processLives } from './local/place.ts';
import { readFirewallState, removeFirewallState } from './local/state.ts';

export function define(_command: Command): void {}

const LOOK_MS = 25;
/** Requests under way may finish. */
const END_MS = 15_000;

/** Ends the local firewall and waits until it has gone. That there is none to end is said, and no failure. */
export async function run(call: Call): Promise<Result> {
  const home = homeFolder(call);
  const found = await findFirewall(home);
  if (found === null) return { data: { stopped: false }, lines: ['No local firewall is running'] };
  const { pid, listen } = found.state;
  if (!found.running) {
    if (found.silent)
      throw new CliError(
        'silent',
        `the local firewall (pid ${pid}) does not answer on its control channel: end that process`,
        undefined,
        { pid },
      );
    removeFirewallState(home, found.state.instance);
    return {
      data: { stopped: false, pid },
      lines: [`The local firewall of pid ${pid} had gone already: tidied up`],
    };
  }
  await found.channel.post('/stop');
  const until = Date.now() + END_MS;
  // Its state file goes last; a process that nobody reaps would seem to live on.
  while (processLives(pid) && readFirewallState(home)?.instance === found.state.instance) {
    if (Date.now() > until)
      throw new CliError('still_running', `pid ${pid} has not ended within ${END_MS / 1000} s`, undefined, {
        pid,
      });
    await wait(LOOK_MS);
  }
  return { data: { stopped: true, pid, listen }, lines: [`The local firewall on ${listen} has stopped`] };
}
