import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { member } from '../answer.ts';
import { type Call, type Result, textOption } from '../command.ts';
import { CliError } from '../exit.ts';
import { findFirewall } from './control-channel.ts';
import { homeFiles } from './folder.ts';

const LOOK_MS = 50;
const START_MS = 30_000;

/**
 * Starts this very program once more, in a session of its own, and resolves when its control channel answers. What it says
 * goes to `firewall.log` in the user's folder, anew at each start. Throws CliError with why it did not come up.
 */
export async function startDetached(call: Call, home: string): Promise<Result> {
  const { log } = homeFiles(home);
  rmSync(log, { force: true });
  const file = openSync(log, 'wx', 0o600);
  const child = spawn(
    process.execPath,
    [...process.execArgv, process.argv[1] ?? '', 'start', '--json', ...passedOn(call)],
    { cwd: call.folder, env: call.env, detached: true, stdio: ['ignore', file, file], windowsHide: true },
  );
  closeSync(file);
  const gone = once(child, 'exit').then(() => 'gone' as const);
  const until = Date.now() + START_MS;
  while (Date.now() < until) {
    const found = await findFirewall(home);
    if (found?.running === true && found.state.pid === child.pid) {
      child.unref();
      const { pid, listen, control_plane, mode } = found.state;
      return {
        data: { ...found.status, log },
        lines: [
          `The local firewall is up on ${listen} (pid ${pid}), in the background`,
          `  state     ${mode === 'embedded' ? 'its own control plane' : 'follows'} ${control_plane}`,
          `  log       ${log}`,
          `To stop it: ${call.program} stop`,
        ],
      };
    }
    if ((await Promise.race([gone, wait(LOOK_MS)])) === 'gone') throw whyGone(log);
  }
  child.kill();
  throw new CliError('start_failed', `the firewall was not up within ${START_MS / 1000} s: see ${log}`);
}

function passedOn(call: Call): string[] {
  const flags = ['config', 'listen', 'api-base', 'data'].flatMap((flag) => {
    const value = textOption(call.options, flag === 'api-base' ? 'apiBase' : flag);
    return value === undefined ? [] : [`--${flag}`, value];
  });
  return call.options.embedded === true ? [...flags, '--embedded'] : flags;
}

/** Its last line on standard output is the envelope of its failure. */
function whyGone(log: string): CliError {
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  for (const line of lines.reverse()) {
    const said = parsed(line);
    const code = member(said, 'error_code');
    const message = member(said, 'data', 'message');
    if (typeof code === 'string' && typeof message === 'string')
      return new CliError(code, message, undefined, { log });
  }
  return new CliError('start_failed', `the firewall ended at once: ${lines[0] ?? ''} (see ${log})`);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
