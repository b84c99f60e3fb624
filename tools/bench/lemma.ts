import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onAnyCore, onServerCore } from './cores.ts';

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/compile', import.meta.url));

/** `lemma serve` in a process of its own on the server's core, its store in a new folder. */
export interface LemmaProcess {
  readonly grpc: string;
  readonly pid: number;
  /** From spawning to its announcement, milliseconds. */
  readonly startedMs: number;
  kill(runtimeId: string): Promise<void>;
  /** Where its firewall listens; null: it has none. */
  readonly firewall: string | null;
  /** A good answer of the control plane to a body. Throws for any other. */
  post(path: string, body: object): Promise<Record<string, unknown>>;
  /** An answer of the control plane, its body read. */
  get(path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** Resident memory, MiB. */
  resident(): number;
  stop(): Promise<void>;
}

export interface LemmaOptions {
  /** Flags of Node's: `--cpu-prof`. */
  readonly node?: readonly string[];
  /** Another checkout whose code is to serve; default: this one. */
  readonly checkout?: string;
  /** Whether it keeps to the server's core; default: it does. */
  readonly pinned?: boolean;
}

/** @throws Error with what it said, when it ends before it serves */
export async function startLemma(
  config: object,
  { node = [], checkout = PROJECT, pinned = true }: LemmaOptions = {},
): Promise<LemmaProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-bench-'));
  const file = join(folder, 'lemma.yaml');
  const listen = { grpc: '127.0.0.1:0', decision: '127.0.0.1:0', control: '127.0.0.1:0' };
  // As `lemma init` has it: in the folder of the configuration, which is watched, each page that is written would wake the loop.
  const data = join(folder, '.lemma');
  writeFileSync(file, JSON.stringify({ listen, data, ...config }));
  const [command, args] = (pinned ? onServerCore : onAnyCore)(process.execPath, [
    ...node,
    join(checkout, 'src/main.ts'),
    'serve',
    '--json',
    '--config',
    file,
  ]);
  const began = performance.now();
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: COMPILED },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000);
  });
  const ended = once(child, 'exit').then((): [string] => {
    throw new Error(`lemma serve did not start:\n${said}`);
  });
  const [line] = (await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended])) as [
    string,
  ];
  ended.catch(() => undefined);
  const startedMs = performance.now() - began;
  const { addresses, operator_key_file } = (JSON.parse(line) as { data: Announced }).data;
  const key = readFileSync(operator_key_file, 'utf8').trim();
  const pid = child.pid ?? 0;
  const post = async (path: string, body: object) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const url = `http://${addresses.control}${path}`;
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path} was answered ${answer.status}: ${await answer.text()}`);
    return (await answer.json()) as Record<string, unknown>;
  };
  return {
    grpc: addresses.grpc[0] ?? '',
    pid,
    startedMs,
    firewall: addresses.firewall,
    async kill(runtimeId) {
      await post(`/api/wallet/runtimes/${runtimeId}/kill`, { reason: 'bench' });
    },
    post,
    async get(path) {
      const url = `http://${addresses.control}${path}`;
      const answer = await fetch(url, { headers: { authorization: `Bearer ${key}` } });
      return { status: answer.status, text: await answer.text() };
    },
    resident: () => residentOf(pid),
    async stop() {
      await end(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Announced {
  readonly addresses: {
    readonly grpc: readonly string[];
    readonly control: string;
    readonly firewall: string | null;
  };
  readonly operator_key_file: string;
}

/** MiB; NaN where the system has no /proc. taskset replaces itself, so that the child is the server. */
export function residentOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
  } catch {
    return Number.NaN;
  }
}

/** User and system time of all its threads so far, milliseconds; NaN where the system has no /proc. */
export function cpuOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    // utime and stime, the 14th and 15th field, in ticks of 10 ms.
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return Number.NaN;
  }
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
