import { deepEqual, ok } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import { installEnvoy, type RunningEnvoy, startEnvoy } from '../../tools/envoy/envoy.ts';
import { type Seen, startUpstream, type Upstream } from './envoy-upstream.ts';
import { chain, keys, ORIGIN, proving } from './kit.ts';
import { type Running, running, vectors } from './running.ts';

/** A runtime of its own for each thing that ends or taints one. */
export const RUNTIMES = ['killed-tcp', 'killed-socket', 'killed-busy', 'revoked', 'tainted'] as const;

const known = vectors.runtimes as { runtime_id: string }[];
const runtimes = [...known, ...RUNTIMES.map((runtime_id) => ({ ...known[0], runtime_id }))];

const documents = { host: 'api.example.com', api: 'documents', audience: ORIGIN, risk: 'low' } as const;
const read = { ...documents, action: 'documents.read', scope: ['documents.read'], methods: ['GET', 'PUT'] };
const write = { ...documents, action: 'documents.write', scope: ['documents.write'], methods: ['PUT'] };

/** Those of the vectors, and what they lack. */
const routes = [
  ...(vectors.routes as object[]),
  { ...read, id: 'documents.forwarded', path: '/v1/forwarded/{id}', forward_credential: true },
  { ...read, id: 'documents.audited', path: '/v1/audited/{id}', risk: 'high' },
  { ...write, id: 'documents.upload', path: '/v1/uploads/{id}', body: 'none' },
  { ...read, id: 'documents.observed', path: '/v1/observed/{id}', mode: 'observe' },
];

/** lemma.yaml of a Lemma that listens for Envoy at these addresses. */
export function lemmaConfig(grpc: readonly string[]): Record<string, unknown> {
  return { listen: { grpc, decision: '127.0.0.1:0', control: '127.0.0.1:0' }, runtimes, routes };
}

const told = new Set<string>();

/** What `install` finds. Without it the tests are skipped, aloud; in CI they fail. */
export async function needPart<T>(
  context: Mocha.Context,
  name: string,
  install: () => Promise<T>,
): Promise<T> {
  try {
    return await install();
  } catch (error) {
    if (process.env.CI === 'true') throw error;
    if (!told.has(name))
      console.warn(`SKIPPED, no ${name}: ${error instanceof Error ? error.message : error}`);
    told.add(name);
    return context.skip();
  }
}

/** Path of a real Envoy. */
export function needEnvoy(context: Mocha.Context): Promise<string> {
  return needPart(context, 'real Envoy', installEnvoy);
}

export function portOf(lemma: Running): number {
  return Number(lemma.app.addresses.grpc[0]?.split(':').at(-1));
}

/** One Lemma and one upstream; one Envoy that asks over TCP, and one that asks over a unix socket. */
export interface Scene {
  readonly binary: string;
  readonly upstream: Upstream;
  readonly lemma: Running;
  readonly tcp: RunningEnvoy;
  readonly socket: RunningEnvoy;
  stop(): Promise<void>;
}

export async function startScene(binary: string): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-e2e-'));
  const stops: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const path = join(folder, 'pdp.sock');
    const upstream = await startUpstream();
    stops.push(upstream.close);
    const web = { id: 'web', base_url: upstream.origin, methods: ['GET'], path_prefixes: ['/'] };
    const api = { ...web, scope: ['site.read'], risk: 'low', action: 'site.read', taint_on_response: true };
    const firewall = { listen: '127.0.0.1:0', apis: [api] };
    const config = { ...lemmaConfig(['127.0.0.1:0', `unix://${path}`]), firewall };
    const lemma = await running({ config });
    stops.push(lemma.stop);
    const tcp = await startEnvoy(binary, { lemma: portOf(lemma), upstream: upstream.port });
    stops.push(tcp.stop);
    const socket = await startEnvoy(binary, {
      socket: path,
      cluster: 'lemma_socket',
      upstream: upstream.port,
    });
    stops.push(socket.stop);
    return { binary, upstream, lemma, tcp, socket, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * All records by decision id. A durable decision comes first: what was queued before it stands in the log then, also
 * the records that are written behind their answers.
 */
export async function recordsOf(lemma: Running): Promise<Map<string, DecisionRecord>> {
  await lemma.grpc(proving(chain(), keys.runtime));
  const { records } = await lemma.records();
  return new Map(records.map((record) => [record.decision_id, record]));
}

/** Each request that reached the upstream was let through by a decision on it, as the upstream saw it. */
export async function checkForwarded(lemma: Running, reached: readonly Seen[]): Promise<void> {
  const records = await recordsOf(lemma);
  const decidedOn = (seen: Seen) => {
    const record = records.get(headerOf(seen, 'x-lemma-decision-id') ?? '');
    const { method, host, path } = record?.request ?? {};
    return { passed: record?.verdict === 'allow' || record?.observed === true, method, host, path };
  };
  ok(reached.length > 50);
  deepEqual(
    reached.map(decidedOn),
    reached.map((seen) => ({
      passed: true,
      method: seen.method,
      host: headerOf(seen, 'host'),
      path: seen.target.split('?')[0],
    })),
  );
}

export function headerOf(seen: Seen | undefined, name: string): string | null {
  return seen?.headers.find(([key]) => key === name)?.[1] ?? null;
}

/** Lines of Envoy's access log until each of these words stands in one of them (5 s at most between two lines). */
export async function logLines(
  envoy: RunningEnvoy,
  words: readonly string[],
): Promise<Record<string, unknown>[]> {
  const lines: Record<string, unknown>[] = [];
  const missing = () => words.find((word) => !lines.some((line) => JSON.stringify(line).includes(word)));
  while (missing() !== undefined) {
    const fresh = await envoy.accessLog(1);
    if (fresh.length === 0) throw new Error(`the access log never named ${missing()}`);
    lines.push(...fresh);
  }
  return lines;
}
