/**
 * Shows Lemma behind a real Envoy, on this machine and loopback only: `npm run envoy`. Every step is checked; the exit
 * code is 1 when one is not as it should be.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, get, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { styleText } from 'node:util';
import { installEnvoy, type RunningEnvoy, startEnvoy } from './envoy.ts';
import { type Agent, makeAgent, type RunningLemma, startLemma } from './lemma.ts';

interface Scene {
  readonly agent: Agent;
  readonly lemma: RunningLemma;
  readonly envoy: RunningEnvoy;
  /** Headers of the requests that came through, newest last. */
  readonly reached: IncomingHttpHeaders[];
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

let failures = 0;

function check(good: boolean, what: string, detail: string): void {
  if (!good) failures++;
  const mark = good ? styleText('green', '✔') : styleText('red', '✖');
  console.log(`${mark} ${what}\n    ${styleText('dim', detail)}`);
}

function ask({ agent, envoy }: Scene, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const to = {
      host: '127.0.0.1',
      port: envoy.port,
      path,
      headers: { host: agent.host, ...headers },
      agent: false,
    };
    get(to, async (response) => resolve({ status: response.statusCode ?? 0, body: await text(response) })).on(
      'error',
      reject,
    );
  });
}

const DOCUMENT = '/v1/documents/42';
const withProof = ({ agent }: Scene) => ({ 'x-lemma-credential': agent.credential });

async function allowedRequest(scene: Scene): Promise<void> {
  const { status } = await ask(scene, DOCUMENT, { ...withProof(scene), 'x-lemma-subject': 'somebody-else' });
  const seen = scene.reached.at(-1) ?? {};
  const identity = Object.entries(seen).filter(([name]) => name.startsWith('x-lemma-'));
  const lines = identity.map(([name, value]) => `${name}: ${value}`);
  const told =
    seen['x-lemma-runtime-id'] === scene.agent.runtimeId && seen['x-lemma-subject'] !== 'somebody-else';
  check(
    status === 200 && told && seen['x-lemma-credential'] === undefined,
    'An agent with a proof is let through; the upstream learns who acts, and never sees the proof',
    lines.join('\n    ') || `status ${status}`,
  );
}

async function deniedRequests(scene: Scene): Promise<void> {
  const without = await ask(scene, DOCUMENT);
  check(without.status === 401, 'Without a proof it is not', `${without.status} ${without.body}`);
  const elsewhere = await ask(scene, '/v1/secrets', withProof(scene));
  check(
    elsewhere.status === 403,
    'With it, but where no route leads, neither',
    `${elsewhere.status} ${elsewhere.body}`,
  );
  const open = await ask(scene, '/healthz');
  check(open.status === 200, 'A public route needs none', `${open.status}`);
}

async function accessLog({ envoy, lemma }: Scene): Promise<void> {
  const lines = await envoy.accessLog(4);
  const denied = lines.find((line) => line.reason === 'auth_required');
  const id = String(denied?.decision_id);
  check(denied !== undefined, "Envoy's access log names the decision", JSON.stringify(denied ?? lines));
  const { explanation } = await lemma.command('decisions', 'explain', id);
  const found = JSON.stringify(explanation ?? null);
  check(found.includes(id), '`lemma decisions explain` finds it', `${found.slice(0, 160)}…`);
}

async function killed(scene: Scene): Promise<void> {
  const before = await ask(scene, DOCUMENT, withProof(scene));
  await scene.lemma.command('kill', scene.agent.runtimeId, '--reason', 'shown by npm run envoy');
  const after = await ask(scene, DOCUMENT, withProof(scene));
  check(
    before.status === 200 && after.status === 403 && after.body.includes('runtime_killed'),
    'The very next request after a kill is denied',
    `before ${before.status}, after ${after.status} ${after.body}`,
  );
}

async function stopped(scene: Scene): Promise<void> {
  await scene.lemma.stop();
  const reached = scene.reached.length;
  const { status } = await ask(scene, '/healthz');
  check(
    status === 403 && scene.reached.length === reached,
    'Without Lemma, Envoy lets nothing through',
    `${status}, failure_mode_allow: false`,
  );
}

async function startUpstream(reached: IncomingHttpHeaders[]): Promise<Server> {
  const upstream = createServer((request, response) => {
    reached.push(request.headers);
    response.end('from the upstream\n');
  });
  await once(upstream.listen(0, '127.0.0.1'), 'listening');
  return upstream;
}

async function show(folder: string, closers: (() => unknown)[]): Promise<void> {
  const binary = await installEnvoy();
  console.log(styleText('dim', `Envoy: ${binary}`));
  const reached: IncomingHttpHeaders[] = [];
  const upstream = await startUpstream(reached);
  closers.push(() => upstream.close());
  const agent = makeAgent(join(folder, 'data'));
  const lemma = await startLemma(agent, folder);
  closers.push(() => lemma.stop());
  const envoy = await startEnvoy(binary, {
    lemma: lemma.grpcPort,
    upstream: (upstream.address() as AddressInfo).port,
  });
  closers.push(() => envoy.stop());
  const scene = { agent, lemma, envoy, reached };
  for (const step of [allowedRequest, deniedRequests, accessLog, killed, stopped]) await step(scene);
}

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'lemma-envoy-demo-'));
  const closers: (() => unknown)[] = [];
  const clean = async () => {
    for (const close of closers.splice(0).reverse()) await close();
    await rm(folder, { recursive: true, force: true });
  };
  process.once('SIGINT', () => void clean().then(() => process.exit(130)));
  try {
    await show(folder, closers);
  } catch (error) {
    failures++;
    console.error(styleText('red', error instanceof Error ? error.message : String(error)));
  } finally {
    await clean();
  }
  return failures === 0 ? 0 : 1;
}

process.exitCode = await main();
