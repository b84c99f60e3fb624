import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Where a proxy of the samples is to ask, and to forward: ports on 127.0.0.1. */
export interface ProxyPorts {
  readonly lemma: number;
  readonly upstream: number;
}

export interface RunningProxy {
  /** Where it listens, on 127.0.0.1. */
  readonly port: number;
  stop(): Promise<void>;
}

/** What the samples listen at, ask and forward to. */
const LISTEN = 10000;
const LEMMA = 8181;
const UPSTREAM = 9000;

/**
 * Starts a proxy with samples of its configuration, copied with free ports into a folder of their own, and resolves
 * when it answers. `argv` is told that folder; `change` may edit a sample for this machine.
 *
 * @throws Error with the end of its own log, when it does not come up within 15 s.
 */
export async function startProxy(
  binary: string,
  samples: readonly URL[],
  argv: (folder: string) => readonly string[],
  { lemma, upstream }: ProxyPorts,
  change: (text: string, folder: string) => string = (text) => text,
): Promise<RunningProxy> {
  const folder = await mkdtemp(join(tmpdir(), 'lemma-proxy-'));
  const port = await freePort();
  const ports = new Map([
    [LISTEN, port],
    [LEMMA, lemma],
    [UPSTREAM, upstream],
  ]);
  for (const sample of samples) {
    const text = (await readFile(sample, 'utf8')).replace(/(?<=:)(\d+)\b/g, (digits) =>
      String(ports.get(Number(digits)) ?? digits),
    );
    await writeFile(join(folder, basename(fileURLToPath(sample))), change(text, folder));
  }
  // Its own session: a signal to the terminal's group must not reach it before it is stopped in order.
  const child = spawn(binary, argv(folder), {
    cwd: folder,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = lastWords(child);
  const stop = async () => {
    await stopGroup(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await ready(port, child);
    return { port, stop };
  } catch (error) {
    await stop();
    throw new Error(`${basename(binary)} did not start: ${(error as Error).message}\n${said()}`);
  }
}

/** None of these proxies takes port 0 and says what it got. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function ready(port: number, child: ChildProcess): Promise<void> {
  for (const end = Date.now() + 15_000; Date.now() < end; await sleep(20)) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('it ended');
    if (await answers(port)) return;
  }
  throw new Error('no answer within 15 s');
}

/** Traefik listens before it knows its routes, and answers 404 until then. */
async function answers(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    ({ status }) => status !== 404,
    () => false,
  );
}

/** The end of what a child says, for an error's message. */
export function lastWords(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString()).slice(-4000);
    });
  }
  child.on('error', (error) => {
    text += error.message;
  });
  return () => text;
}

/** Ends a child that leads its own process group, and waits for its end; by force after 3 s. */
export async function stopGroup(child: ChildProcess): Promise<void> {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  signalGroup(pid, 'SIGTERM');
  const force = setTimeout(signalGroup, 3_000, pid, 'SIGKILL');
  await gone;
  clearTimeout(force);
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has just gone.
  }
}
