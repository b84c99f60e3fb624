import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stopGroup } from '../../tools/proxy/start.ts';

const run = promisify(execFile);
const VERSION = '2026.9.6';

/** The start file of a real OpenClaw from npm (650 MB), as `installFromNpm`. */
export async function installOpenclaw(): Promise<string> {
  const start = join(await installFromNpm('openclaw', VERSION), 'openclaw', 'openclaw.mjs');
  await access(start);
  return start;
}

/**
 * The `node_modules` of a package that is far too large for a dependency: installed into the user's cache folder, without any
 * install script (half a minute, once).
 */
export async function installFromNpm(name: string, version: string): Promise<string> {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(cache, 'lemma', `${name.replace(/^.*\//, '')}-${version}`);
  const modules = join(folder, 'node_modules');
  const isThere = await access(modules).then(
    () => true,
    () => false,
  );
  if (isThere) return modules;
  await mkdir(join(folder, '..'), { recursive: true });
  // Made beside and renamed: an interrupted install must not be found by the next run.
  const fresh = await mkdtemp(`${folder}-`);
  try {
    await writeFile(join(fresh, 'package.json'), '{"private":true}');
    const how = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    await run('npm', ['install', ...how, `${name}@${version}`], { cwd: fresh });
    await rename(fresh, folder);
    return modules;
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  }
}

/** OpenClaw on a machine whose home is the folder. */
export function openclawIn(start: string, home: string) {
  const env = { PATH: process.env.PATH, HOME: home, NO_COLOR: '1' };
  return {
    /** What a command prints on its standard output. */
    async run(...args: readonly string[]): Promise<string> {
      const { stdout } = await run(process.execPath, [start, ...args], { cwd: home, env });
      return stdout;
    },
    /** Its gateway, answering; on the port that its configuration says. */
    async gateway(port: number): Promise<{ stop(): Promise<void> }> {
      const child = spawn(process.execPath, [start, 'gateway', 'run'], {
        cwd: home,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      });
      const said: string[] = [];
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => said.push(String(data)));
      await answers(child, port, said);
      return { stop: () => stopGroup(child) };
    },
  };
}

const START_MS = 120_000;

async function answers(child: ChildProcess, port: number, said: readonly string[]): Promise<void> {
  const until = Date.now() + START_MS;
  while (child.exitCode === null && Date.now() < until) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => null);
    if (answer?.ok === true) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await stopGroup(child);
  throw new Error(`OpenClaw's gateway did not start: ${said.join('').slice(-2000)}`);
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
