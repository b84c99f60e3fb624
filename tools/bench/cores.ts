import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';

/** The core of the load generator and the one of the server under test. */
const LOAD_CORE = '0';
const SERVER_CORE = '1';

const pinning = cpus().length > 1 && spawnSync('taskset', ['--version']).status === 0;

/** Keeps this process, with all its threads to come, to its own core. Gives what is to be said where that can't be. */
export function pinLoad(): string | null {
  if (!pinning)
    return 'taskset is missing, or there is one core only: server and load generator share what there is';
  spawnSync('taskset', ['-a', '-c', '-p', LOAD_CORE, String(process.pid)]);
  return null;
}

/** A command line that runs on the server's core alone. */
export function onServerCore(command: string, args: readonly string[]): [command: string, args: string[]] {
  return pinning ? ['taskset', ['-c', SERVER_CORE, command, ...args]] : [command, [...args]];
}

/** A command line that runs wherever there is room. */
export function onAnyCore(command: string, args: readonly string[]): [command: string, args: string[]] {
  return pinning
    ? ['taskset', ['-c', `${LOAD_CORE}-${cpus().length - 1}`, command, ...args]]
    : [command, [...args]];
}
