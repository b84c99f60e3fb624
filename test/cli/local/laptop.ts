import { type ChildProcess, spawn } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { CONTROL_HOST, CONTROL_SECRET } from '../../../src/cli/local/control-server.ts';
import type { FirewallState } from '../../../src/schema/local-state.ts';
import { emptyFolder, environmentIn, lemma, type Run } from '../lemma.ts';

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));
const IDENTITY = ['--runtime-id', 'bot-1', '--agent-id', 'bot', '--workspace-id', 'prod'];

export interface Answered {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** A computer with an empty home, a project folder, and whatever of the program runs there. */
export interface Laptop {
  readonly folder: string;
  /** `~/.lemma` */
  readonly home: string;
  run(args: readonly string[], env?: Record<string, string>): Promise<Run>;
  /** The data of an answer with `--json`; its envelope's other members are the test's own to look at. */
  json(args: readonly string[], env?: Record<string, string>): Promise<Envelope>;
  /** `lemma start` in the foreground, up. */
  start(args?: readonly string[], env?: Record<string, string>): Promise<Started>;
  /** Writes lemma.yaml. */
  configure(config: object): void;
  connect(...args: string[]): Promise<Envelope>;
  /** A request as an agent sends it, with the credential that was issued last. */
  ask(path: string, init?: RequestInit & { plain?: boolean }): Promise<Answered>;
  state(): FirewallState;
  /** What leads a program that is started here to the firewall. */
  contained(): Record<string, string>;
  /** The control channel, as anybody who finds the socket may call it. */
  channel(
    method: string,
    path: string,
    over?: Record<string, string | undefined>,
    body?: object,
  ): Promise<Answered>;
  close(): Promise<void>;
}

export interface Envelope {
  readonly code: number | null;
  readonly ok: boolean;
  readonly error_code: string | null;
  readonly data: ReturnType<typeof JSON.parse>;
  readonly err: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly said: FirewallState & { readonly example: boolean; readonly next: string };
  readonly notes: readonly string[];
  /** Tells each of them as it comes: `line`. */
  readonly lines: EventEmitter;
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

export function laptop(): Laptop {
  const folder = emptyFolder();
  const home = join(folder.path, 'home', '.lemma');
  mkdirSync(join(folder.path, 'home'));
  const started: Started[] = [];

  const run: Laptop['run'] = (args, env = {}) => lemma(folder.path, args, env);
  const json: Laptop['json'] = async (args, env = {}) => {
    const { code, out, err } = await run([...args, '--json'], env);
    return { code, err, ...JSON.parse(out) };
  };
  const state = () => JSON.parse(readFileSync(join(home, 'firewall.json'), 'utf8')) as FirewallState;

  return {
    folder: folder.path,
    home,
    run,
    json,
    state,
    contained() {
      const proxy = `http://${state().listen}`;
      return { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NODE_USE_ENV_PROXY: '1' };
    },
    async start(args = [], env = {}) {
      const child = spawn(process.execPath, [MAIN, 'start', '--json', '--listen', '127.0.0.1:0', ...args], {
        cwd: folder.path,
        env: { ...environmentIn(folder.path), ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const notes: string[] = [];
      const lines = createInterface({ input: child.stderr }).on('line', (line) => notes.push(line));
      const exited = once(child, 'exit') as Promise<[number | null]>;
      const announced = once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>;
      const gone = exited.then(([code]): [string] => {
        throw new Error(`start ended with ${code}: ${notes.join('\n')}`);
      });
      const [line] = await Promise.race([announced, gone]);
      gone.catch(() => undefined);
      const said = JSON.parse(line) as { ok: boolean; data: Started['said'] };
      if (!said.ok) throw new Error(line);
      const one: Started = {
        child,
        said: said.data,
        notes,
        lines,
        async end(signal = 'SIGTERM') {
          if (child.exitCode === null && child.signalCode === null) child.kill(signal);
          const [code] = await exited;
          return code;
        },
      };
      started.push(one);
      return one;
    },
    configure: (config) => writeFileSync(join(folder.path, 'lemma.yaml'), stringify(config)),
    connect: (...args) => json(['firewall-connect', ...IDENTITY, ...args]),
    async ask(path, { plain = false, ...init } = {}) {
      const header = readFileSync(join(home, 'bot-1.credential'), 'utf8');
      const headers = { ...init.headers, ...(plain ? {} : { 'x-lemma-credential': header }) };
      const answer = await fetch(`http://${state().listen}${path}`, { ...init, headers });
      const said = await answer.text();
      return { status: answer.status, body: bodyOf(said) };
    },
    channel(method, path, over = {}, body) {
      const secret = readFileSync(join(home, 'control.secret'), 'utf8').trim();
      const headers = { host: CONTROL_HOST, [CONTROL_SECRET]: secret, ...over };
      const kept = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
      return new Promise((resolve, reject) => {
        const socketPath = state().control_channel;
        const outgoing = httpRequest({ socketPath, method, path, headers: kept as Record<string, string> });
        outgoing.once('error', reject);
        outgoing.once('response', async (response) => {
          resolve({ status: response.statusCode ?? 0, body: bodyOf(await text(response)) });
        });
        outgoing.end(body === undefined ? undefined : JSON.stringify(body));
      });
    },
    async close() {
      for (const one of started) await one.end();
      await run(['stop']);
      folder.remove();
    },
  };
}

/** One with its firewall up and a runtime connected. */
export async function connectedLaptop(): Promise<Laptop> {
  const computer = laptop();
  try {
    await computer.start();
    const { code, err } = await computer.connect();
    if (code !== 0) throw new Error(err);
    return computer;
  } catch (error) {
    await computer.close();
    throw error;
  }
}

function bodyOf(said: string): Record<string, unknown> {
  try {
    return JSON.parse(said) as Record<string, unknown>;
  } catch {
    return { text: said };
  }
}

/** A server behind the firewall. */
export async function upstream(listener: RequestListener = (_, response) => void response.end('ok')) {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    server,
    origin,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** An api of a lemma.yaml. */
export function apiAt(base_url: string, over: object = {}): object {
  return {
    id: 'notes',
    base_url,
    methods: ['GET', 'POST'],
    path_prefixes: ['/'],
    scope: ['notes.use'],
    risk: 'low',
    action: 'notes.use',
    ...over,
  };
}
