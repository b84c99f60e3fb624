import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { publicKeyOf, randomBytes, signEd25519 } from '#runtime';
import {
  type AppOptions,
  dryRun,
  firewallOf,
  fixedProblems,
  type Live,
  listening,
  loggerTo,
  NOTHING,
  renewalsOf,
  runtimesOf,
  type Secured,
  securedBy,
  sharedOf,
  starting,
  tracesOf,
  version,
} from './app.ts';
import { tenantOf } from './authority/operators.ts';
import { isLocal } from './config/address.ts';
import type { LoadedConfig } from './config/load.ts';
import { folderOf, makeFolder } from './config/make-folder.ts';
import { fromBase64url, toBase64url } from './crypto/base64url.ts';
import { thumbprint } from './crypto/thumbprint.ts';
import { openLog } from './decision-log/log.ts';
import { createShipper } from './decision-log/ship.ts';
import { type ControlClient, ControlError, createControlClient, record } from './feed/control-client.ts';
import type { FeedSnapshot } from './feed/snapshot.ts';
import { FeedError } from './feed/statement.ts';
import { createGate } from './gate/gate.ts';
import { createLeaseHolder } from './gate/lease.ts';
import { createAdmission } from './pdp/admission.ts';
import { decide, type Pdp } from './pdp/decide.ts';
import { createFollower, fetchSnapshot } from './pdp/follower.ts';
import { settingsOf } from './pdp/settings.ts';
import { type Bundle, readBundleTar } from './policy/bundle.ts';
import { createEvaluationThread } from './policy/evaluation-thread.ts';
import { createBundleFollower } from './policy/follow.ts';
import { PolicyRegistry } from './policy/registry.ts';
import { createChainCache } from './proof/cache.ts';
import { InputError } from './reason.ts';
import { firewallRoutes } from './request/firewall.ts';
import { PROFILES } from './schema/common.ts';
import type { Config } from './schema/config.ts';
import { startDecisionServer } from './server/decision-api.ts';
import { startGrpc } from './server/grpc.ts';
import { createMetrics } from './server/metrics.ts';
import { memoryLostAt } from './store/memory.ts';
import { openStore } from './store/store.ts';

export interface DecisionNode {
  readonly node: string;
  /** As bound. With `firewallOnly` no gRPC, and `decision` is empty. */
  readonly addresses: {
    readonly grpc: readonly string[];
    readonly decision: string;
    readonly firewall: string | null;
  };
  readonly live: Live;
  /** Takes a whole new configuration into use, certificates included, or rejects (InputError) and goes on with the old one. */
  reload(loaded: LoadedConfig): Promise<void>;
  stop(): Promise<void>;
}

export interface NodeOptions extends Pick<AppOptions, 'output' | 'level' | 'firewallOnly'> {
  /** Asked for each call to the control plane; default: what is in `control.token_file`. */
  readonly token?: () => string;
}

const JOURNAL = 'journal.db';
const BUNDLE_MS = 30_000;
const TAINT_MS = 3000;
const CHAIN_MS = 10_000;
const RETRY_MS = 1000;

/**
 * A decision node: state by snapshot, events and leases from its control plane; on disk only the journal of its decisions and
 * what they spent. It starts only where the control plane answers; after that its absence is the profiles' to judge.
 *
 * @throws InputError (`control.…`, `listen.…`, `routes[i]…`), StoreOpenError
 */
export async function startNode(loaded: LoadedConfig, options: NodeOptions = {}): Promise<DecisionNode> {
  return starting(async (stops, stop) => ({ ...(await compose(loaded, options, stops)), stop }));
}

async function compose(
  loaded: LoadedConfig,
  options: NodeOptions,
  stops: (() => Promise<void>)[],
): Promise<Omit<DecisionNode, 'stop'>> {
  const { config } = loaded;
  const { node, org, env } = config;
  let running = loaded;
  const instance = toBase64url(randomBytes(16));
  const clock = Date.now;
  const logger = loggerTo(options);
  folderOf('data', () => makeFolder(config.data, 0o700));
  const client = clientOf(config, options.token ?? null);
  const onError = (error: unknown, doing: string) => logger.error({ err: error }, doing);
  const keys = new Map<string, Uint8Array>();
  const first = await firstSnapshot(client, keys, config);

  const path = join(config.data, JOURNAL);
  const lostAt = memoryLostAt(config.data, path, first.known, Math.floor(clock() / 1000));
  const store = await openStore({ path, clock, maxBytes: config.log.max_bytes });
  stops.push(() => store.close());
  const journal = await store.load();
  const chain = await chainOf(client, node, journal.store_id);
  if (chain !== node)
    logger.warn(
      { node, chain },
      'another journal bears the name of this node: its records here bear this one',
    );

  const lease = createLeaseHolder();
  const gate = createGate({ lease });
  gate.load({
    runtimes: first.runtimes,
    revocations: first.revocations,
    nonces: journal.nonces,
    budgets: journal.budgets,
    position: first,
    memoryLostAt: lostAt,
    fencedAt: first.fenced_at,
    latestRecord: journal.latest_record,
  });

  let roots = first.keys;
  const settle = ({ config: own, revision } = running) =>
    settingsOf(own, revision, roots, firewallRoutes(own.firewall, { org, env }));
  let settings = settle();

  const thread = createEvaluationThread();
  stops.push(() => thread.close());
  const policies = new PolicyRegistry(archiveAt(client), new Map(), thread);
  const activate = async (bundles: readonly Bundle[], digests: readonly string[]) => {
    // Named by the authority under its signature; the digest is made of what came.
    // Also an older one: the authority has gone back to it.
    const named = new Set(digests);
    await policies.activate(bundles, { kind: 'pinned', digests: named }, named);
  };
  const bundleOf = (sha256: string) => bundleAt(client, sha256);
  const following = createBundleFollower(bundleOf, (bundle, named) => activate([bundle], [named]));
  let closing = false;
  /** Until it succeeds: a kill must not wait behind it, so that the log goes on being followed. */
  const activateSoon = (sha256: string, turn = following.turn()) => {
    following.take(sha256, turn).catch((error: unknown) => {
      onError(error, `bundle ${sha256} is not in force here yet`);
      if (!closing && error instanceof ControlError) setTimeout(activateSoon, RETRY_MS, sha256, turn).unref();
    });
  };
  const digests = first.bundles.map(({ sha256 }) => sha256);
  await activate(await Promise.all(digests.map(bundleOf)), digests);

  // The control plane vouches for what it has taken (its own checkpoints); the key here lives as long as the process.
  const seed = randomBytes(32);
  const keyid = thumbprint(publicKeyOf(seed));
  const key = () => ({ keyid, sign: (bytes: Uint8Array) => toBase64url(signEd25519(bytes, seed)) });
  const log = openLog({ store, node: chain, key, clock });
  stops.push(() => log.close());
  const shipper = createShipper({ store, client, node, journal: journal.store_id, chain, onError });
  stops.push(() => shipper.close());
  log.onCommit(() => shipper.wake());
  shipper.wake();

  let connected = false;
  const follower = createFollower({
    client,
    node,
    instance,
    version: version(),
    bundles: () => PROFILES.map((profile) => policies.active(profile).ref.sha256),
    gate,
    lease,
    keys,
    effects: {
      bundle: (sha256) => activateSoon(sha256),
      key({ kid, x, to }) {
        const others = roots.filter((root) => root.kid !== kid);
        roots = to === 'retired' ? others : [{ kid, x }, ...others];
        settings = settle();
      },
    },
    onSnapshot(snapshot) {
      roots = snapshot.keys;
      settings = settle();
      for (const { sha256 } of snapshot.bundles) activateSoon(sha256);
    },
    onState(now, why) {
      connected = now;
      if (now) logger.info(why);
      else logger.warn({ why }, 'the control plane is lost: the state grows old');
    },
    onError,
  });
  stops.push(async () => {
    closing = true;
    await follower.close();
  });
  follower.start();
  await follower.confirm();

  if (config.feed !== null) {
    const { feed: server } = config;
    const feed = (await import('./feed/redis.ts')).createRedisFeed({ server, org, env });
    stops.push(() => feed.close());
    feed.subscribe(follower.hint);
    // What was published meanwhile, it has not kept.
    feed.onGap(() => void follower.confirm());
  }
  const shared = await sharedOf(config, {
    clock,
    waitMs: () => running.config.limits.feed_ms,
    onRoundTrip: (ms) => metrics.sharedRoundTrip(ms),
    logger,
  });
  if (shared !== null) stops.push(() => shared.close());
  const traces = await tracesOf(config, logger);
  if (traces !== null) stops.push(() => traces.close());
  const taint: Pdp['taint'] = async (tenant, runtime_id, why) => {
    const answer = await client.post('/taint', { ...tenantOf(tenant), runtime_id, reason: why }, TAINT_MS);
    const seq = Number((answer as { seq?: unknown }).seq);
    if (!(await follower.applied(seq, TAINT_MS))) throw new Error(`the taint (event ${seq}) did not come`);
  };
  const pdp: Pdp = {
    node: chain,
    clock,
    follow: traces?.follow,
    ...(shared === null ? {} : { shared }),
    settings: () => settings,
    chains: createChainCache(),
    gate,
    policies,
    log,
    confirm: follower.confirm,
    slept: follower.slept,
    taint,
    onError: (error, decision_id) =>
      logger.error({ err: error, decision_id }, 'a decision failed, and was denied'),
  };
  const admission = createAdmission(
    pdp,
    (request) => decide(request, pdp),
    () => running.config.limits,
  );
  stops.push(async () => admission.close());
  const metrics = createMetrics({
    admission: () => admission.stats(),
    log: () => log.stats(),
    gate: () => ({ ready: gate.ready, runtimes: [...gate.runtimes()].length, nonces: gate.nonces }),
    bundles: () => PROFILES.map((profile) => policies.active(profile).ref),
    storeWritable: () => store.health().writable,
    traces: traces === null ? null : traces.stats,
  });
  log.onRecord(metrics.recorded);
  const ready = () => gate.ready;
  const outside = options.firewallOnly !== true;
  const answer = metrics.timed(admission.decide);
  const grpc: string[] = [];
  const secured: (Secured | null)[] = [];
  for (const listener of outside ? config.listen.grpc : []) {
    const server = await startGrpc({
      ...listening(listener, 'listen.grpc'),
      decide: metrics.timed(admission.admitted),
      inTurn: admission.inTurn,
      ready,
      log: logger,
    });
    stops.push(() => server.drain());
    grpc.push(server.address);
    secured.push(securedBy(listener, 'listen.grpc', server.tls));
  }
  const decision = outside
    ? await startDecisionServer({
        ...listening(config.listen.decision, 'listen.decision'),
        decide: answer,
        ready,
        metrics,
        log: logger,
      })
    : null;
  stops.push(async () => decision?.close());
  secured.push(securedBy(config.listen.decision, 'listen.decision', decision?.tls ?? null));
  const firewall = await firewallOf(config, {
    decide: answer,
    taint,
    watch: gate.changed,
    clock,
    log: logger,
  });
  if (firewall !== null) stops.push(() => firewall.close());
  return {
    node,
    addresses: { grpc, decision: decision?.address ?? '', firewall: firewall?.address ?? null },
    live: {
      freshness: gate.freshness,
      connected: () => connected,
      runtimes: () => runtimesOf(gate, { org, env }),
      bundles: () => PROFILES.map((profile) => policies.active(profile).ref),
      replay: dryRun(pdp, { org, env }, firewall),
      onRecord: log.onRecord,
    },
    async reload(next) {
      const problems = fixedProblems(FIXED, running.config, next.config);
      if (problems.length > 0) throw new InputError(problems);
      // What can refuse comes first, so that a refused reload leaves all as it was.
      const renewals = renewalsOf(secured);
      settle(next);
      await store.limit(next.config.log.max_bytes);
      await firewall?.replace(next.config.firewall ?? NOTHING);
      for (const { guard, tls } of renewals) guard.renew(tls);
      running = next;
      // Made anew: a key may have come in the meantime.
      settings = settle();
    },
  };
}

/** What can't change while a node runs: it is bound, opened, or what it is known by. The token in its file is read at each call. */
const FIXED = ['listen', 'data', 'feed', 'org', 'env', 'node', 'control'] as const;

/** `given`: a token that is in no file. Throws InputError for what is missing, or would send the key in the clear. */
function clientOf({ control }: Config, given: (() => string) | null): ControlClient {
  const { url = '', keys = [], token_file = '' } = control ?? {};
  const problems = [
    ...(url === '' ? [{ field: 'control.url', message: 'name the control plane: --control <url>' }] : []),
    ...(keys.length === 0
      ? [{ field: 'control.keys', message: 'pin its authority key: see `lemma keys list` there' }]
      : []),
    ...(token_file === '' && given === null
      ? [{ field: 'control.token_file', message: 'name the file with the API key of this node' }]
      : []),
  ];
  if (problems.length > 0) throw new InputError(problems);
  const parsed = URL.parse(url);
  const host = parsed?.hostname.replace(/^\[|\]$/g, '') ?? '';
  const safe =
    parsed?.protocol === 'https:' ||
    (parsed?.protocol === 'http:' && isLocal({ kind: 'tcp', host, port: 0 }));
  if (parsed === null || !safe || parsed.pathname !== '/' || parsed.search !== '' || parsed.username !== '')
    throw new InputError([
      {
        field: 'control.url',
        message: 'must be an https origin, or http on this machine: its key goes there',
      },
    ]);
  return createControlClient(parsed.origin, given ?? (() => tokenIn(token_file)));
}

function tokenIn(file: string): string {
  let token: string;
  try {
    token = readFileSync(file, 'utf8').trim();
  } catch {
    throw new InputError([{ field: 'control.token_file', message: `cannot be read: ${file}` }]);
  }
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new InputError([{ field: 'control.token_file', message: `holds no key: ${file}` }]);
  return token;
}

async function firstSnapshot(
  client: ControlClient,
  keys: Map<string, Uint8Array>,
  { control, org, env, node }: Config,
): Promise<FeedSnapshot> {
  const snapshot = await fetchSnapshot(client, node, keys, pinsOf(control)).catch((error: unknown) => {
    if (error instanceof FeedError)
      throw new InputError([
        { field: 'control.keys', message: `${error.message}: pin that key if it is the control plane's own` },
      ]);
    if (error instanceof ControlError)
      throw new InputError([{ field: 'control', message: `${error.code}: ${error.message}` }]);
    throw error;
  });
  if (snapshot.org !== org || snapshot.env !== env)
    throw new InputError([
      {
        field: 'org',
        message: `the control plane is that of ${snapshot.org}/${snapshot.env}: say so here too`,
      },
    ]);
  return snapshot;
}

/** The name that records of this journal bear in the log of the control plane. */
async function chainOf(client: ControlClient, node: string, journal: string): Promise<string> {
  const taken = await client
    .post('/journal', { node, journal, lines: [] }, CHAIN_MS)
    .catch((error: unknown) => {
      if (!(error instanceof ControlError)) throw error;
      const field = error.code === 'conflict' ? 'node' : 'control';
      throw new InputError([{ field, message: `${error.code}: ${error.message}` }]);
    });
  return String(record(taken).chain);
}

/** Thumbprints; a JWK that holds no key pins nothing. */
function pinsOf(control: Config['control']): Set<string> {
  return new Set(
    (control?.keys ?? []).flatMap((key) => {
      if (typeof key === 'string') return [key];
      const bytes = fromBase64url(String(key.x));
      return bytes === null ? [] : [thumbprint(bytes)];
    }),
  );
}

async function bundleAt(client: ControlClient, sha256: string): Promise<Bundle> {
  return readBundleTar(await client.bytes(`/bundles/${sha256}`, BUNDLE_MS));
}

/** The control plane has every bundle that was ever active. */
function archiveAt(client: ControlClient) {
  return { put: async () => undefined, get: (sha256: string) => bundleAt(client, sha256) };
}
