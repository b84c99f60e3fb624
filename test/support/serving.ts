import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { MAX_LIFE } from '../../src/proof/chain.ts';
import { decodeCredential } from '../../src/proof/decode.ts';
import { credentialOf, encodeCredential, issueRun } from '../../src/proof/issue.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import { keyNamed, ORIGIN, request, type WireRequest } from './kit.ts';
import { connect, toCheckRequest, type Verdict, verdictOf } from './running.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** One route to read (low) and one to write (high), of the deployment's own org and env. */
export const SERVED_ROUTES = [
  route('documents.read', ['GET'], 'low'),
  route('documents.write', ['PUT'], 'high'),
];

/** A critical one, of the same documents. */
export const ERASE_ROUTE = route('documents.erase', ['DELETE'], 'critical');

function route(action: string, methods: string[], risk: string) {
  return {
    id: action,
    host: 'api.example.com',
    path: '/v1/documents/{id}',
    methods,
    api: 'documents',
    action,
    scope: [action],
    audience: ORIGIN,
    risk,
    body: 'none',
  };
}

/** What an agent has after its onboarding: requests of its own, each with a new nonce. */
export interface Agent {
  reading(): WireRequest;
  writing(nonce?: string): WireRequest;
  /** The critical request, where `ERASE_ROUTE` is served: with a proof of a run, which it issues to itself. */
  erasing(nonce?: string): WireRequest;
}

/** `lemma serve` as a process of its own, on free ports, with the machine's clock. */
export interface Serving {
  readonly folder: string;
  readonly operatorKey: string;
  /** Origin of the control plane. */
  readonly controlBase: string;
  readonly addresses: { readonly grpc: readonly string[]; readonly control: string };
  /** Lines of standard error so far. */
  readonly notes: readonly string[];
  grpc(request: WireRequest): Promise<Verdict>;
  control(path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }>;
  exported(): Promise<string[]>;
  /** Registers a runtime with the embedded authority, and has a proof issued for it. */
  onboard(runtimeId: string, budget?: { operations: number }): Promise<Agent>;
  /** Resolves with the first line of standard error that matches, of those after the first `from`. */
  noted(pattern: RegExp, from?: number): Promise<string>;
  /** Sends a signal that it goes on from: SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void;
  /** Sends the signal with calls under way, and resolves with the exit code. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
  /** The same, after the client has hung up. Twice is once. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
}

/** Starts it in a folder, with a lemma.yaml of the two routes where there is none; or with these flags alone. */
export async function serving(folder: string, flags?: readonly string[]): Promise<Serving> {
  const file = join(folder, 'lemma.yaml');
  if (flags === undefined && !existsSync(file)) writeFileSync(file, stringify(servedConfig()));
  const child = spawn(process.execPath, [MAIN, 'serve', ...(flags ?? ['--config', file]), '--json'], {
    cwd: folder,
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const notes: string[] = [];
  const errors = createInterface({ input: child.stderr });
  errors.on('line', (line) => notes.push(line));
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const announced = once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>;
  const gone = exited.then(([code]): [string] => {
    throw new Error(`serve ended with ${code}: ${notes.join('\n')}`);
  });
  const [line] = await Promise.race([announced, gone]);
  gone.catch(() => undefined);
  const { data } = JSON.parse(line) as {
    data: { addresses: { grpc: string[]; control: string }; operator_key_file: string };
  };
  const operatorKey = readFileSync(data.operator_key_file, 'utf8').trim();
  const client = connect(data.addresses.grpc[0] ?? '');
  const authorization = `Bearer ${operatorKey}`;

  const control = async (path: string, body?: unknown) => {
    const answer = await fetch(`http://${data.addresses.control}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };

  const kill = async (signal: 'SIGTERM' | 'SIGKILL') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const [code] = await exited;
    return code;
  };

  return {
    folder,
    operatorKey,
    controlBase: `http://${data.addresses.control}`,
    addresses: data.addresses,
    notes,
    control,
    grpc: async (one) => verdictOf(await client.check(toCheckRequest(one))),
    async exported() {
      const answer = await fetch(`http://${data.addresses.control}/api/wallet/runtimes/decisions/export`, {
        headers: { authorization },
      });
      return (await answer.text()).split('\n').filter((text) => text !== '');
    },
    async onboard(runtimeId, budget) {
      const about = { runtime_id: runtimeId, agent_id: 'bot', workspace_id: 'prod' };
      await control('/api/wallet/runtimes/bootstrap', about);
      const key = keyNamed(runtimeId);
      const { body } = await control('/api/wallet/runtimes/issue-proof', {
        runtime_id: runtimeId,
        key: toBase64url(key.public),
        scope: ['documents.*'],
        audience: [ORIGIN],
        ...(budget === undefined ? {} : { budget }),
      });
      return agent(String(body.header), key.seed);
    },
    async noted(pattern, from = 0) {
      for (;;) {
        const found = notes.slice(from).find((note) => pattern.test(note));
        if (found !== undefined) return found;
        await Promise.race([once(errors, 'line'), gone]);
      }
    },
    signal: (signal) => void child.kill(signal),
    kill,
    end(signal) {
      client.close();
      return kill(signal);
    },
  };
}

/** Thumbprint of its authority's key, for nodes to pin. */
export async function authorityPin({ control }: Serving): Promise<string> {
  const { body } = await control('/api/wallet/keys');
  return (body.keys as { use: string; kid: string }[]).find(({ use }) => use === 'authority')?.kid ?? '';
}

/** The configuration that `serving` writes. */
export function servedConfig(): Record<string, unknown> {
  const listen = { grpc: '127.0.0.1:0', decision: '127.0.0.1:0', control: '127.0.0.1:0' };
  return { listen, routes: SERVED_ROUTES };
}

function agent(proof: string, seed: Uint8Array): Agent {
  const signed = (method: string, held: { proof: string; seed: Uint8Array }, nonce?: string): WireRequest => {
    const one = request({ method });
    const headers = signPop({
      method: one.method,
      url: `${one.scheme}://${one.host}${one.path}`,
      ...held,
      created: Math.floor(Date.now() / 1000),
      ...(nonce === undefined ? {} : { nonce }),
    });
    return { ...one, headers: [...Object.entries(headers), ['content-length', '0']] };
  };
  let run: { proof: string; seed: Uint8Array } | undefined;
  return {
    reading: () => request({ headers: [['x-lemma-credential', proof]] }),
    writing: (nonce) => signed('PUT', { proof, seed }, nonce),
    erasing(nonce) {
      run ??= runOf(proof, seed);
      return signed('DELETE', run, nonce);
    },
  };
}

/** A run under a runtime's proof, as the runtime issues it to itself. */
function runOf(proof: string, seed: Uint8Array): { proof: string; seed: Uint8Array } {
  const links = decodeCredential(proof);
  const binding = links.at(-1);
  if (binding === undefined) throw new Error('a proof without links');
  const { audience, scope } = binding;
  const issued_at = Math.floor(Date.now() / 1000);
  const expires_at = Math.min(binding.expires_at, issued_at + MAX_LIFE.run);
  const key = keyNamed(`run of ${binding.id}`);
  const terms = { key: key.public, audience, scope, issued_at, expires_at };
  const run = issueRun(binding, seed, { run_id: 'job-1', budget: { operations: 1_000_000 } }, terms);
  return { proof: encodeCredential(credentialOf([...links, run])), seed: key.seed };
}
