import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publicKeyOf, randomBytes } from '#runtime';
import { readSecret } from '../authority/secret-file.ts';
import { loadConfig } from '../config/load.ts';
import { toBase64url } from '../crypto/base64url.ts';
import { encodeCredential } from '../proof/issue.ts';
import { signPop } from '../proof/sign-pop.ts';
import type { ConfigFile } from '../schema/config.ts';
import type { CredentialJson } from '../schema/lemma.ts';
import type { Call } from './command.ts';
import { type ControlApi, controlApiAt, member } from './control-api.ts';
import { CliError, EXIT } from './exit.ts';

/** A request that reached the upstream. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** What came back through the firewall, and what the upstream saw of it. */
export interface Answered {
  readonly request: string;
  readonly status: number;
  /** `allowed`, or the code of the denial. */
  readonly reason: string;
  readonly decision_id: string;
  readonly seen: Seen | null;
}

/** The whole service in a folder of its own, an upstream, and an agent with a key. */
export interface World {
  readonly runtimeId: string;
  readonly control: ControlApi;
  /** Registers the runtime, once. */
  bootstrap(): Promise<void>;
  /** A new proof for the agent's key, at the current taint epoch; gives its lemma id. */
  issue(): Promise<string>;
  /** Sends a request with the agent's proof and a PoP made for it. `path` begins after `/firewall`. */
  send(method: string, path: string, body?: string): Promise<Answered>;
  close(): Promise<void>;
}

const RUNTIME = { runtime_id: 'demo-bot-1', agent_id: 'demo-bot', workspace_id: 'demo' } as const;
const SCOPES = ['notes.use', 'web.read'] as const;

export async function openWorld(call: Call): Promise<World> {
  const closers: (() => unknown)[] = [];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const folder = temporaryFolder(closers);
    const { origin, seen } = await startUpstream(closers);
    const file = join(folder, 'lemma.yaml');
    writeFileSync(file, JSON.stringify(configOf(origin)));
    const { startApp } = await import('../app.ts');
    const app = await startApp(loadConfig({ file, flags: {}, env: {}, cwd: folder }), {
      output: () => undefined,
    });
    closers.push(() => app.stop());
    const { control, firewall } = app.addresses;
    // Not the person's own key and service, whatever their environment and files say.
    const { operatorKeyFile: as } = app;
    const api = controlApiAt({ base: `http://${control}`, token: readSecret(as) ?? '', as }, call);
    return { ...agentOf(api, { firewall: `http://${firewall}`, origin, seen }), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Gone with the process, even one that is interrupted. */
function temporaryFolder(closers: (() => unknown)[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-demo-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const stop = () => process.exit(EXIT.failed);
  process.once('exit', remove).once('SIGINT', stop).once('SIGTERM', stop);
  closers.push(() => {
    process.off('exit', remove).off('SIGINT', stop).off('SIGTERM', stop);
    remove();
  });
  return folder;
}

async function startUpstream(closers: (() => unknown)[]): Promise<{ origin: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server: Server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    seen.push({ method, url, headers });
    request.resume();
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ method, url }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

function configOf(origin: string): ConfigFile {
  const free = '127.0.0.1:0';
  return {
    listen: { grpc: free, decision: free, control: free },
    data: './data',
    org: 'demo',
    env: 'local',
    firewall: {
      listen: free,
      apis: [
        {
          id: 'notes',
          base_url: `${origin}/notes`,
          methods: ['GET', 'POST'],
          path_prefixes: ['/documents'],
          scope: [SCOPES[0]],
          risk: 'high',
          action: 'notes.use',
        },
        {
          id: 'web',
          base_url: `${origin}/web`,
          methods: ['GET'],
          path_prefixes: ['/'],
          scope: [SCOPES[1]],
          risk: 'low',
          action: 'web.read',
          taint_on_response: true,
        },
      ],
    },
  };
}

interface Surroundings {
  readonly firewall: string;
  readonly origin: string;
  readonly seen: readonly Seen[];
}

function agentOf(control: ControlApi, { firewall, origin, seen }: Surroundings): Omit<World, 'close'> {
  const seed = randomBytes(32);
  let proof = '';

  async function issue(): Promise<string> {
    const key = toBase64url(publicKeyOf(seed));
    const asked = { runtime_id: RUNTIME.runtime_id, key, scope: SCOPES, audience: [origin] };
    const credential = member(await control.post('/api/wallet/runtimes/issue-proof', asked), 'credential');
    const id = member(credential, 'id');
    if (typeof id !== 'string') throw new CliError('answer_invalid', 'the control plane sent no credential');
    // Made by the service that this very process started.
    proof = encodeCredential(credential as CredentialJson);
    return id;
  }

  async function send(method: string, path: string, body?: string): Promise<Answered> {
    const url = `${firewall}/firewall${path}`;
    const created = Math.floor(Date.now() / 1000);
    const content = body === undefined ? {} : { body: new TextEncoder().encode(body) };
    const headers = signPop({ method, url, proof, seed, created, ...content });
    const before = seen.length;
    const response = await fetch(url, { method, headers, ...content, redirect: 'manual' });
    const answer: unknown = await response.json();
    const reason = member(answer, 'error') ?? 'allowed';
    return {
      request: `${method} /firewall${path}`,
      status: response.status,
      reason: String(reason),
      decision_id: response.headers.get('x-lemma-decision-id') ?? '',
      seen: seen[before] ?? null,
    };
  }

  return {
    runtimeId: RUNTIME.runtime_id,
    control,
    async bootstrap() {
      await control.post('/api/wallet/runtimes/bootstrap', RUNTIME);
    },
    issue,
    send,
  };
}
