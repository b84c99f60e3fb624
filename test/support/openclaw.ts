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

/**
 * The start file of a real OpenClaw from npm, installed into the user's cache folder without any of its install scripts
 * (650 MB, half a minute, once): far too large for a dependency.
 */
export async function installOpenclaw(): Promise<string> {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(cache, 'lemma', `openclaw-${VERSION}`);
  const start = join(folder, 'node_modules', 'openclaw', 'openclaw.mjs');
  const isThere = () =>
    access(start).then(
      () => true,
      () => false,
    );
  if (await isThere()) return start;
  await mkdir(join(folder, '..'), { recursive: true });
  const fresh = await mkdtemp(`${folder}-`);
  try {
    await writeFile(join(fresh, 'package.json'), '{"private":true}');
    const how = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    await run('npm', ['install', ...how, `openclaw@${VERSION}`], { cwd: fresh });
    await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  }
  if (await isThere()) return start;
  throw new Error(`openclaw@${VERSION} has no ${start}`);
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
