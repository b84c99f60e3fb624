import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { WireRequest } from './kit.ts';
import { connect, PATIENT, toCheckRequest, type Verdict, verdictOf } from './running.ts';
import { SERVED_ROUTES } from './serving.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** `lemma pdp` as a process of its own. */
export interface NodeProcess {
  readonly name: string;
  readonly notes: readonly string[];
  readonly addresses: { readonly grpc: readonly string[]; readonly decision: string };
  /** Writes its file anew, with these members in the place of those that it began with. */
  configure(over: Record<string, unknown>): void;
  ask(request: WireRequest): Promise<Verdict>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves with the first line of its log that matches, of those from `from` on. */
  noted(pattern: RegExp, from?: number): Promise<string>;
  /** SIGTERM unless it is to end as a crash does. Twice is once. */
  end(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

export interface NodeProcessOptions {
  readonly folder: string;
  readonly name: string;
  /** Origin of its control plane. */
  readonly control: string;
  readonly token: string;
  /** Thumbprint of the authority's key. */
  readonly pin: string;
  /** A Redis that it shares with others; default: none. */
  readonly feed?: string;
  /** Where its spans go; default: nowhere. */
  readonly collector?: string;
  /** Members of its file beside, or instead of, the usual ones. */
  readonly config?: Record<string, unknown>;
}

/** @throws Error with what it said, when it ends before it is up */
export async function nodeProcess({
  folder,
  name,
  control,
  token,
  pin,
  feed,
  collector,
  config: own = {},
}: NodeProcessOptions): Promise<NodeProcess> {
  const data = join(folder, name);
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, 'token'), token);
  const config = {
    node: name,
    data,
    listen: { grpc: '127.0.0.1:0', decision: '127.0.0.1:0' },
    routes: SERVED_ROUTES,
    limits: PATIENT,
    control: { url: control, keys: [pin], token_file: join(data, 'token') },
    ...(feed === undefined ? {} : { feed }),
    ...(collector === undefined ? {} : { telemetry: { traces: { endpoint: collector } } }),
    ...own,
  };
  const file = join(data, 'lemma.yaml');
  const configure = (over: Record<string, unknown>) => writeFileSync(file, stringify({ ...config, ...over }));
  configure({});
  const child = spawn(process.execPath, [MAIN, 'pdp', '--config', file, '--json'], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const notes: string[] = [];
  const errors = createInterface({ input: child.stderr });
  errors.on('line', (line) => notes.push(line));
  const exited = once(child, 'exit');
  const announced = once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>;
  const gone = exited.then((): [string] => {
    throw new Error(`pdp ended: ${notes.join('\n')}`);
  });
  const [line] = await Promise.race([announced, gone]);
  gone.catch(() => undefined);
  const { data: said } = JSON.parse(line) as {
    data?: { addresses: { grpc: string[]; decision: string } };
  };
  if (said === undefined) throw new Error(`pdp did not start: ${line}`);
  const client = connect(said.addresses.grpc[0] ?? '');
  return {
    name,
    notes,
    addresses: said.addresses,
    configure,
    ask: async (request) => verdictOf(await client.check(toCheckRequest(request))),
    signal: (signal) => void child.kill(signal),
    async noted(pattern, from = 0) {
      for (;;) {
        const found = notes.slice(from).find((note) => pattern.test(note));
        if (found !== undefined) return found;
        await Promise.race([once(errors, 'line'), gone]);
      }
    },
    async end(signal = 'SIGTERM') {
      const running = child.exitCode === null && child.signalCode === null;
      // A crash comes in the midst of calls; who ends it hangs up first.
      if (signal === 'SIGTERM') client.close();
      if (running) {
        child.kill('SIGCONT');
        child.kill(signal);
        await exited;
      }
      client.close();
    },
  };
}
