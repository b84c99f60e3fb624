import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createStops, type Stops } from '../../src/authority/stop.ts';
import { loadConfig } from '../../src/config/load.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { type DecisionLog, openLog } from '../../src/decision-log/log.ts';
import { createGate } from '../../src/gate/gate.ts';
import type { Pdp } from '../../src/pdp/decide.ts';
import { settingsOf } from '../../src/pdp/settings.ts';
import { type Bundle, readBundleTar } from '../../src/policy/bundle.ts';
import { EMBEDDED_TRUST, loadEmbedded } from '../../src/policy/embedded.ts';
import { type BundleArchive, PolicyRegistry } from '../../src/policy/registry.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { createChainCache } from '../../src/proof/cache.ts';
import { verifyChain } from '../../src/proof/chain.ts';
import { signToken, type TokenTerms, vouch } from '../../src/proof/token.ts';
import { createTrust } from '../../src/proof/trust.ts';
import { toRequest } from '../../src/request/envoy.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import type { Runtime } from '../../src/store/model.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { memoryArchive, republished } from '../policy/support.ts';
import {
  chain,
  keyNamed,
  keys,
  link,
  NOW,
  ORIGIN,
  proving,
  request,
  SUBJECT,
  type WireRequest,
} from '../support/kit.ts';
import { type Running, toCheckRequest, type Verdict, vectors } from '../support/running.ts';

/** Folders that are gone once the tests are. */
export function folders() {
  const made: string[] = [];
  return {
    make() {
      const folder = mkdtempSync(join(tmpdir(), 'lemma-test-'));
      made.push(folder);
      return folder;
    },
    remove() {
      for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function databaseOf(folder: string): string {
  return join(folder, '.lemma', 'lemma.db');
}

/** The store of a service that is not running: what is put there stands when it starts. */
export async function inStore<T>(folder: string, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({ path: databaseOf(folder), clock: () => NOW * 1000 });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** A PUT to a route of high risk, with a PoP over its body. */
export function writing(
  links: readonly Lemma[],
  key = keys.runtime,
  more: Parameters<typeof proving>[2] = {},
): WireRequest {
  return proving(links, key, { method: 'PUT', text: '{"title":"x"}', ...more });
}

/** A chain whose run has this many operations, below a runtime with these claims. */
export function withRun(operations: number, runtimeClaims: Record<string, unknown> = {}): Lemma[] {
  return chain({ runtime: { claims: runtimeClaims }, run: { claims: { budget: { operations } } } });
}

/** One more run of the same runtime, with a key of its own. */
export function anotherRun(links: readonly Lemma[], name: string, operations = 1000) {
  const key = keyNamed(name);
  const above = links.slice(0, 3);
  const claims = { run_id: name, budget: { operations } };
  return {
    key,
    links: [...above, link('run', above[2] as Lemma, keys.runtime, key, { claims })],
  };
}

/** A runtime as the vectors' chains bind it. */
export function registration(runtime_id: string) {
  return { runtime_id, agent_id: 'bot', workspace_id: 'prod', profile: 'low', subject: SUBJECT } as const;
}

/** A policy for low routes that does what the query's `tell` says (test/policy/fixtures/told.rego). */
export const told = readBundleTar(readFileSync(new URL('../policy/fixtures/told.tar.gz', import.meta.url)));

export const PUBLISHER = keyNamed('publisher');
export const PUBLISHER_JWK = { kty: 'OKP', crv: 'Ed25519', x: toBase64url(PUBLISHER.public) };

export interface Published {
  readonly serial?: number;
  readonly revision?: string;
  readonly by?: Uint8Array;
}

/** Writes a folder of signed bundles, `low` and the embedded two; gives what `bundles` of lemma.yaml is then. */
export async function publish(folder: string, low: Bundle, { serial, revision, by }: Published = {}) {
  const anew = serial === undefined ? low : republished(low, serial, revision ?? `low-${serial}`);
  const others = (await loadEmbedded()).filter(({ name }) => name !== 'low');
  for (const bundle of [anew, ...others]) {
    rmSync(join(folder, bundle.name), { recursive: true, force: true });
    for (const [path, bytes] of signBundle(bundle, by ?? PUBLISHER.seed).files) {
      const file = join(folder, bundle.name, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, bytes);
    }
  }
  return { source: folder, keys: [PUBLISHER_JWK] };
}

export interface Composed {
  readonly pdp: Pdp;
  readonly stops: Stops;
  readonly store: Store;
  readonly log: DecisionLog;
  readonly archive: BundleArchive;
  register(runtimeId: string): void;
  close(): Promise<void>;
}

export interface ComposedOptions {
  /** Between the log and the real store. */
  readonly commit?: (write: () => ReturnType<Store['commitRecords']>) => ReturnType<Store['commitRecords']>;
  readonly unloaded?: boolean;
  readonly withoutPolicies?: boolean;
}

/** The service's parts joined by hand, for states that a whole service is never in while it listens. */
export async function composed(folder: string, options: ComposedOptions = {}): Promise<Composed> {
  const { trust, runtimes, routes } = vectors;
  writeFileSync(join(folder, 'lemma.yaml'), JSON.stringify({ trust, runtimes, routes }));
  const { config, revision } = loadConfig({ flags: {}, env: {}, cwd: folder });
  const clock = () => NOW * 1000;
  const store = await openStore({ path: databaseOf(folder), clock });
  const commit = options.commit ?? ((write) => write());
  const log = openLog({
    store: {
      commitRecords: (batch) => commit(() => store.commitRecords(batch)),
      putCheckpoint: (checkpoint) => store.putCheckpoint(checkpoint),
    },
    node: 'n1',
    key: () => ({ keyid: 'k', sign: () => 'unsigned' }),
    clock,
  });
  const gate = createGate();
  const snapshot = await store.load();
  if (options.unloaded !== true) {
    gate.load({
      ...snapshot,
      position: snapshot.last,
      memoryLostAt: null,
      latestRecord: snapshot.latest_record,
    });
  }
  const archive = memoryArchive();
  const policies = new PolicyRegistry(archive);
  if (options.withoutPolicies !== true) await policies.activate(await loadEmbedded(), EMBEDDED_TRUST);
  const settings = settingsOf(config, revision, [{ x: toBase64url(keyNamed('own').public) }], []);
  const onError = (error: unknown) => {
    throw error;
  };
  const home = { org: 'acme', env: 'prod' };
  const register = (runtimeId: string) =>
    gate.putRuntime({
      ...registration(runtimeId),
      ...home,
      keys: null,
      status: 'active',
      registered_at: clock(),
      taint_epoch: 0,
    } satisfies Runtime);
  register('bot-1');
  const stops = createStops({ home, store, gate, clock, onError });
  return {
    pdp: {
      node: 'n1',
      clock,
      settings: () => settings,
      chains: createChainCache(),
      gate,
      policies,
      log,
      taint: async (tenant, runtimeId, why) => void (await stops.taint(runtimeId, why, tenant)),
      onError,
    },
    stops,
    store,
    log,
    archive,
    register,
    async close() {
      await log.close();
      await store.close();
    },
  };
}

/** As the gRPC border reads it. */
export function asked(request: WireRequest): AuthzRequest {
  return toRequest(toCheckRequest(request));
}

/** Asks, with PoPs unless told else, until the first that is not allowed: a full database has room in its last pages. */
export async function untilFull(
  { grpc }: Pick<Running, 'grpc'>,
  make: () => WireRequest = () => writing(chain()),
): Promise<Verdict> {
  for (let asked = 0; asked < 1000; asked += 1) {
    const answer = await grpc(make());
    if (answer.verdict !== 'allow') return answer;
  }
  throw new Error('the disk never came to be full');
}

/** A legacy token for a chain, by the vectors' issuer unless told else: nothing is checked. */
export function tokenFor(links: readonly Lemma[], over: Partial<TokenTerms> = {}, key = keys.issuer): string {
  const trust = createTrust([{ org: 'acme', env: 'prod', keys: [{ x: toBase64url(keys.issuer.public) }] }]);
  const terms = { scope: ['documents.read'], audience: [ORIGIN], issued_at: NOW, expires_at: NOW + 60 };
  return signToken(vouch(verifyChain(links, trust), { ...terms, ...over }, key.id), key.seed);
}

/** A request with a legacy token. */
export function tokened(token: string, more: Partial<WireRequest> = {}): WireRequest {
  const { headers = [], ...rest } = more;
  return request({ ...rest, headers: [['authorization', `Bearer ${token}`], ...headers] });
}

/** How often each verdict was given. */
export function tally(verdicts: readonly Verdict[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { verdict } of verdicts) counts[verdict] = (counts[verdict] ?? 0) + 1;
  return counts;
}

export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
