import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { publicKeyOf, randomBytes } from '#runtime';
import { readSecret } from '../authority/secret-file.ts';
import { loadConfig } from '../config/load.ts';
import { toBase64url } from '../crypto/base64url.ts';
import { encodeCredential } from '../proof/issue.ts';
import { signPop } from '../proof/sign-pop.ts';
import type { ConfigFile } from '../schema/config.ts';
import type { Explanation } from '../schema/explanation.ts';
import type { CredentialJson } from '../schema/lemma.ts';
import { type Call, textOption } from './command.ts';
import { type ControlApi, controlApiAt, member } from './control-api.ts';
import { CliError, EXIT } from './exit.ts';
import { explanationOf } from './explanation.ts';
import { placeOf } from './local/place.ts';
import { describe } from './local/sign-in.ts';

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
  /** Registers the runtime, once, and resolves when the firewall knows it. */
  bootstrap(): Promise<void>;
  /** Of a decision of the firewall. */
  explain(decisionId: string): Promise<Explanation>;
  /** A new proof for the agent's key, at the current taint epoch; gives its lemma id. */
  issue(): Promise<string>;
  /** Sends a request with the agent's proof and a PoP made for it. `path` begins after `/firewall`. */
  send(method: string, path: string, body?: string): Promise<Answered>;
  close(): Promise<void>;
}

const IDENTITY = { agent_id: 'demo-bot', workspace_id: 'demo' } as const;
const SCOPES = ['notes.use', 'web.read'] as const;
/** A control plane elsewhere issues proofs only for what its routes name: the demo's upstream has a place of its own then. */
const PLACE = { host: '127.0.0.1', port: 8788 } as const;
const NEEDED = ['runtimes.write', 'runtimes.stop', 'decisions.read', 'nodes.connect'] as const;

/** Everything in this process and a folder that goes; or, with `--api-base`, a firewall that follows that control plane. */
export async function openWorld(call: Call): Promise<World> {
  const closers: (() => unknown)[] = [];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const folder = temporaryFolder(closers);
    const base = textOption(call.options, 'apiBase');
    const world =
      base === undefined ? await openHere(call, folder, closers) : await openThere(call, folder, closers);
    return { ...world, close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Closers = (() => unknown)[];

async function openHere(call: Call, folder: string, closers: Closers): Promise<Omit<World, 'close'>> {
  const { origin, seen } = await startUpstream(closers, 0);
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
  const runtimes = app.live.runtimes;
  return agentOf(api, { runtimeId: 'demo-bot-1', firewall: `http://${firewall}`, origin, seen, runtimes });
}

/** Ends with the runtime killed there: nothing of it can act any more. */
async function openThere(call: Call, folder: string, closers: Closers): Promise<Omit<World, 'close'>> {
  const { base, token, as } = placeOf(call);
  const api = controlApiAt({ base, token, as }, call);
  const session = await describe({ kind: 'api_key', base, token, expires_at: null }, call);
  const lacking = NEEDED.filter((one) => !session.permissions.includes(one));
  if (lacking.length > 0)
    throw new CliError('forbidden', `${as} at ${base} lacks ${lacking.join(', ')}, which the demo needs`);
  const { origin, seen } = await startUpstream(closers, PLACE.port);
  const { org, env, authority_keys: keys } = session;
  const runtimeId = `demo-bot-${toBase64url(randomBytes(6))
    .toLowerCase()
    .replace(/[^a-z0-9]/g, 'x')}`;
  const file = join(folder, 'lemma.yaml');
  const { firewall: firewallConfig } = configOf(origin);
  const config = {
    data: './data',
    org,
    env,
    node: runtimeId,
    control: { url: base, keys },
    firewall: firewallConfig,
  };
  writeFileSync(file, JSON.stringify(config));
  const { startNode } = await import('../node.ts');
  const node = await startNode(loadConfig({ file, flags: {}, env: {}, cwd: folder }), {
    output: () => undefined,
    firewallOnly: true,
    token: () => token,
  });
  closers.push(() => node.stop());
  const { firewall } = node.addresses;
  const agent = agentOf(api, {
    ...{ runtimeId, firewall: `http://${firewall}`, origin, seen },
    runtimes: node.live.runtimes,
  });
  return {
    ...agent,
    async bootstrap() {
      closers.push(() =>
        api.post(`/api/wallet/runtimes/${runtimeId}/kill`, { reason: 'lemma demo is over' }),
      );
      await agent.bootstrap();
    },
    issue: () => agent.issue().catch((error: unknown) => Promise.reject(unprepared(error, base, origin))),
  };
}

/** Says what its operator must add, where it issues no proof for the demo. */
function unprepared(error: unknown, base: string, origin: string): unknown {
  if (!(error instanceof CliError) || !/no route (?:asks for|has the audience)/.test(error.message))
    return error;
  const route = (id: string, methods: string, scope: string, risk: string) =>
    `  - { id: demo.${id}, host: ${PLACE.host}, path: /${id}/**, methods: [${methods}], api: demo, action: ${scope}, scope: [${scope}], audience: "${origin}", risk: ${risk} }`;
  return new CliError(
    'demo_unprepared',
    [
      `${base} issues no proofs for the demo; its \`routes\` must name what it asks for:`,
      route('notes', 'GET, POST', SCOPES[0], 'high'),
      route('web', 'GET', SCOPES[1], 'low'),
    ].join('\n'),
  );
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

async function startUpstream(closers: Closers, port: number): Promise<{ origin: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server: Server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    seen.push({ method, url, headers });
    request.resume();
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ method, url }));
  });
  server.listen(port, PLACE.host);
  await once(server, 'listening').catch((error: unknown) => {
    throw new CliError(
      'port_taken',
      `the demo's upstream cannot listen on ${PLACE.host}:${port}: ${String(error)}`,
    );
  });
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
  readonly runtimeId: string;
  /** As the firewall knows them. */
  readonly runtimes: () => readonly { readonly runtime_id: string }[];
  readonly firewall: string;
  readonly origin: string;
  readonly seen: readonly Seen[];
}

function agentOf(
  control: ControlApi,
  { runtimeId, runtimes, firewall, origin, seen }: Surroundings,
): Omit<World, 'close'> {
  const seed = randomBytes(32);
  let proof = '';

  async function issue(): Promise<string> {
    const key = toBase64url(publicKeyOf(seed));
    const asked = { runtime_id: runtimeId, key, scope: SCOPES, audience: [origin] };
    const credential = member(await control.post('/api/wallet/runtimes/issue-proof', asked), 'credential');
    const id = member(credential, 'id');
    if (typeof id !== 'string') throw new CliError('answer_invalid', 'the control plane sent no credential');
    // A proof that is none would be denied by the firewall.
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
    runtimeId,
    control,
    async bootstrap() {
      await control.post('/api/wallet/runtimes/bootstrap', { runtime_id: runtimeId, ...IDENTITY });
      await soon(async () => runtimes().some(({ runtime_id }) => runtime_id === runtimeId));
    },
    async explain(decisionId) {
      let found: Explanation | null = null;
      // A firewall's records reach its control plane a moment later.
      await soon(async () => {
        found = await explanationOf(control, decisionId).catch((error: unknown) => {
          if (error instanceof CliError && error.code === 'not_found') return null;
          throw error;
        });
        return found !== null;
      });
      return found ?? explanationOf(control, decisionId);
    },
    issue,
    send,
  };
}

const PATIENCE_MS = 5000;

/** Resolves when it is so, or in vain after some seconds: what comes next says what is wrong. */
async function soon(so: () => Promise<boolean>): Promise<void> {
  const until = Date.now() + PATIENCE_MS;
  while (!(await so()) && Date.now() < until) await wait(20);
}
