import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pino, { type Logger } from 'pino';
import { createAccess } from './authority/access.ts';
import { createAnnouncer } from './authority/announce.ts';
import { createAuthority } from './authority/authority.ts';
import { createBackup, refuseBackup, removeLeftBackups } from './authority/backup.ts';
import { createConfigured } from './authority/configured.ts';
import { feedSnapshot } from './authority/feed-snapshot.ts';
import { accessSecret, ownerAt, siteHost } from './authority/identity.ts';
import { createJournal } from './authority/journal.ts';
import { type KeyRing, openKeyRing } from './authority/key-ring.ts';
import { cursorKey, loadKeys, operatorKeyFile } from './authority/keys.ts';
import { openNodes } from './authority/nodes.ts';
import { opaKeyOf } from './authority/opa-key.ts';
import { createOperators } from './authority/operators.ts';
import { createPolicies, type Trusted } from './authority/policies.ts';
import { createPolicySource, type RegoSetting, type SourceStatus } from './authority/policy-source.ts';
import { createRevisions } from './authority/revisions.ts';
import { createTokens } from './authority/tokens.ts';
import { isServer } from './config/bundle-server.ts';
import { environment, gitEnvironment } from './config/environment.ts';
import type { LoadedConfig } from './config/load.ts';
import { type OpaKeyRead, readOpaKeys } from './config/opa-keys.ts';
import { fromBase64url } from './crypto/base64url.ts';
import { createActivity } from './decision-log/activity.ts';
import { createAlerts, type PolicySourceTrouble } from './decision-log/alerts.ts';
import { exportItems, provenLines } from './decision-log/export.ts';
import { createLags } from './decision-log/lags.ts';
import { openLog, type RecordListener } from './decision-log/log.ts';
import { createNodeWatch } from './decision-log/node-watch.ts';
import { createRetention, type Retention } from './decision-log/retention.ts';
import { createTail } from './decision-log/tail.ts';
import { startUpload, type Upload } from './decision-log/upload.ts';
import { vouch } from './decision-log/vouch.ts';
import type { Feed } from './feed/feed.ts';
import { createLocalFeed } from './feed/local.ts';
import type { Shared } from './feed/shared.ts';
import { type FeedKey, signStatement } from './feed/statement.ts';
import type { Firewall, FirewallOptions } from './firewall/firewall.ts';
import { PIN_FILE } from './firewall/mcp/pin-file.ts';
import { headerLines, headerSecret } from './firewall/secret.ts';
import { createGate, type Freshness, type Gate } from './gate/gate.ts';
import type { LiveRuntime } from './gate/runtimes.ts';
import { createAdmission } from './pdp/admission.ts';
import { decide, type Pdp, type Settings } from './pdp/decide.ts';
import { exchange } from './pdp/exchange.ts';
import { explain } from './pdp/explain.ts';
import { createImpactJobs } from './pdp/impact/jobs.ts';
import { createReplays } from './pdp/replays.ts';
import { settingsOf } from './pdp/settings.ts';
import { createShadow } from './pdp/shadow.ts';
import { storeArchive } from './policy/archive.ts';
import { type Bundle, readProfileBundle } from './policy/bundle.ts';
import { type BundleServer, createBundleServer } from './policy/bundle-server.ts';
import type { CompilerOptions } from './policy/compiler/compiler.ts';
import { EMBEDDED_TRUST, loadEmbedded } from './policy/embedded.ts';
import { createEvaluationThread } from './policy/evaluation-thread.ts';
import { folderOrigin } from './policy/folder-origin.ts';
import { gitOrigin } from './policy/git.ts';
import { type Mark, PolicyRegistry } from './policy/registry.ts';
import { createServedBundles } from './policy/served.ts';
import { createTracer } from './policy/tracer.ts';
import { createChainCache } from './proof/cache.ts';
import { Denial, InputError, type Problem } from './reason.ts';
import { firewallRoutes } from './request/firewall.ts';
import { described } from './request/rest.ts';
import type { AuthorizeBody } from './schema/api.ts';
import { PROFILES, type Profile } from './schema/common.ts';
import type { BundleSetting, Config, Listener, TlsFiles } from './schema/config.ts';
import type { BundleRef } from './schema/decision.ts';
import { startControlServer } from './server/control-api.ts';
import { createCursors } from './server/cursors.ts';
import { startDecisionServer } from './server/decision-api.ts';
import { createEventStreams } from './server/event-streams.ts';
import { type GrpcServer, startGrpc } from './server/grpc.ts';
import { createMetrics } from './server/metrics.ts';
import { runOnce } from './server/once.ts';
import { replayed } from './server/replay-api.ts';
import { readTls, type Tls, type TlsGuard } from './server/tls.ts';
import type { Exchange } from './server/tokens-api.ts';
import type { Traces } from './server/traces.ts';
import { memoryBornAt, memoryLostAt } from './store/memory.ts';
import type { Snapshot, Tenant } from './store/model.ts';
import { openSeen, type SeenPlace } from './store/seen.ts';
import { openStore, type Store } from './store/store.ts';

export interface AppOptions {
  /** Milliseconds since 1970; default: the machine's. */
  readonly clock?: () => number;
  /** Lines of the structured log; default: standard error. */
  readonly output?: (line: string) => void;
  /**
   * The clock is right although records of a later time are there: they were written under a wrong one. Without it such a
   * start denies (`clock_untrusted`) until the clock has caught up.
   */
  readonly trustClock?: boolean;
  /** The compiler that traces decisions for `explain`; default: the package's, else `opa` on the PATH. */
  readonly compiler?: CompilerOptions;
  /** The least that is logged; default: info. */
  readonly level?: 'info' | 'warn';
  /** Nothing listens for enforcement points elsewhere, gRPC or REST: the firewall is the only one. */
  readonly firewallOnly?: boolean;
}

/** What a process knows of itself at this moment, without asking anybody. */
export interface Live {
  freshness(): Freshness;
  /** Whether the control plane answers; null: it is this process. */
  connected(): boolean | null;
  /** Of the deployment's own org and env. */
  runtimes(): LiveRuntime[];
  bundles(): BundleRef[];
  /** A dry run, as of `POST …/decisions/replay`; requests are those that the firewall receives. Rejects with InputError. */
  replay(body: unknown): Promise<object>;
  /** Hears of each record once it is on disk. Gives a function that ends it. */
  onRecord(listener: RecordListener): () => void;
}

export interface App {
  /** As bound: a port 0 is replaced by the real one. With `firewallOnly` no gRPC, and `decision` is empty. */
  readonly addresses: {
    readonly grpc: readonly string[];
    readonly decision: string;
    readonly control: string;
    readonly firewall: string | null;
  };
  readonly operatorKeyFile: string;
  readonly live: Live;
  /** Takes a whole new configuration into use, or rejects (InputError) and goes on with the old one. */
  reload(loaded: LoadedConfig): Promise<void>;
  /**
   * Reads the folder of bundles, or what a server has of them, or the repository's branch, again and takes what is new into use,
   * all or none: rejects (InputError) and goes on with the old ones. Gives those that are new.
   */
  reloadBundles(): Promise<readonly BundleRef[]>;
  /** Stops listening, finishes what is under way, writes what was acknowledged. Idempotent. */
  stop(): Promise<void>;
}

const DATABASE = 'lemma.db';
/** What was seen of a database that is elsewhere: src/store/seen.ts. */
const SEEN = 'store-seen';
/** Of the repository that policies come from: src/policy/git.ts. */
const MIRROR = 'policy-source.git';
const WENT_BACK =
  'the database is older than what this control plane has seen of it (a dump that was put back, a replica that lagged): kills, revocations and taints since then are not known. It is fenced: every proof issued until now is denied (revoked), and a new epoch begins. Kill and revoke again what was since then, then issue new proofs';
/** Of a firewall that the configuration has no more: it listens until the restart, and lets nothing through. */
export const NOTHING = { apis: [], proxy: null, mcp: [], agents: [] };
/** Records grow old without a new one coming. */
const RETENTION_MS = 600_000;
const FULL =
  'the database is nearly at log.max_bytes, and nothing in it may go yet: durable decisions will be denied (audit_unavailable). Raise log.max_bytes, lower log.keep, or say log.when_full: prune';
/** How long a reader waits for its own decision to be in the log. */
const READ_WAIT_MS = 500;

/**
 * A configuration becomes a running service: keys, store, state, policies, then the listeners, each ready before the
 * next that needs it. What was started is stopped again when a later part can't start.
 *
 * @throws InputError (`listen.…`, `trust[i]…`, `routes[i]…`, `runtimes[i]…`, `bundles…`), StoreOpenError, KeyFileError
 */
export async function startApp(loaded: LoadedConfig, options: AppOptions = {}): Promise<App> {
  return starting((stops, stop) => compose(loaded, options, stops, stop));
}

type Stops = (() => Promise<void>)[];

/** What was started is stopped again, the latest first, where a later part cannot start. `stop` is also how it all ends. */
export async function starting<T>(
  start: (stops: Stops, stop: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const stops: Stops = [];
  const stop = runOnce(async () => {
    for (const end of stops.splice(0).reverse()) await end();
  });
  try {
    return await start(stops, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function compose(
  loaded: LoadedConfig,
  options: AppOptions,
  stops: Stops,
  stop: () => Promise<void>,
): Promise<App> {
  const { config } = loaded;
  const home = { org: config.org, env: config.env };
  const clock = options.clock ?? Date.now;
  const logger = loggerTo(options);
  const keys = loadKeys(config.data);
  let running = loaded;

  const { store, snapshot, lostAt } = await openState(config, !keys.created, clock, stops, (seen, found) =>
    logger.error({ seen, found }, WENT_BACK),
  );
  if (lostAt !== null)
    logger.warn({ lost_at: lostAt }, 'the database is new, the keys are not: spent nonces are not known');
  removeLeftBackups(config.data);

  if (snapshot.fenced_at !== null)
    logger.warn(
      { restored_at: new Date(snapshot.fenced_at).toISOString(), epoch: snapshot.last.epoch },
      'this state was restored from a backup: proofs issued before that are denied (revoked)',
    );
  if (options.clock === undefined) await secondAfter(snapshot.fenced_at);
  const feed = await carriers(config);
  stops.push(() => feed.close());
  let signer: (() => FeedKey) | null = null;
  const announcer = createAnnouncer({
    store,
    feed,
    key: () => signer?.() ?? null,
    last: snapshot.last,
    onError: (error, doing) => logger.error({ err: error }, doing),
  });
  const announced: typeof store = { ...store, appendEvent: announcer.appendEvent };
  const ring = await openKeyRing({
    folder: config.data,
    keys,
    known: snapshot.signing_keys,
    store: announced,
    home,
    clock,
    onChange: () => {
      settled.settings = settingsFrom(running, ring);
    },
    onError: (error, doing) => logger.error({ err: error }, doing),
  });
  signer = ring.feedKey;
  const settled = { settings: settingsFrom(loaded, ring) };
  const gate = createGate();
  loadGate(gate, snapshot, lostAt, believed(snapshot, clock(), options, logger));
  const archive = storeArchive(
    store,
    snapshot.bundles.map(({ sha256 }) => sha256),
  );
  const thread = createEvaluationThread();
  stops.push(() => thread.close());
  const policies = new PolicyRegistry(archive, marksOf(snapshot), thread);
  const revisions = createRevisions({ store, home, clock });
  const policyVerbs = createPolicies({
    registry: policies,
    archive,
    store: announced,
    revisions,
    home,
    clock,
    keys: () => bundleKeys(running.config, ring),
    opaKeys: () => opaKeys(running.config),
  });
  const source = createPolicySource({
    policies: policyVerbs,
    registry: policies,
    archive,
    store,
    revisions,
    originOf: ({ rego }) =>
      rego.kind === 'folder'
        ? folderOrigin(rego.path)
        : gitOrigin(join(config.data, MIRROR), rego, gitEnvironment(environment())),
    home,
    clock,
    seed: ring.bundleSeed,
    onBehind: (message) => logger.error({ source: config.bundles.source }, message),
  });
  const bundleServer = createBundleServer();
  await (isRego(config.bundles)
    ? source.begin(config.bundles)
    : policyVerbs.take(await configuredBundles(config, bundleServer, ring, clock))
  ).catch((error) => {
    throw refusedBundle(error);
  });

  const retention = createRetention({
    store,
    key: ring.logKey,
    trusted: ring.checkpointKeys,
    clock,
    keepMs: () => running.config.log.keep_ms,
    whenFull: () => running.config.log.when_full,
    onPruned: (cut) => logger.info(cut, 'pruned the decision log up to a checkpoint'),
    onFull: (used, limit) => logger.warn({ used, limit }, FULL),
    onError: (error, doing) => logger.error({ err: error }, doing),
  });
  stops.push(() => retention.close());
  const logged: typeof store = {
    ...store,
    putCheckpoint: async (checkpoint) => {
      await store.putCheckpoint(checkpoint);
      // What a checkpoint closes may be what can go; not awaited, and it never rejects.
      void retention.run();
    },
  };
  const log = openLog({ store: logged, node: config.node, key: ring.logKey, clock });
  stops.push(() => log.close());
  stops.push(every(RETENTION_MS, retention));

  const logEnd = (await store.logEnd()).position;
  const activity = createActivity(clock);
  log.onRecord(activity.recorded);
  const lags = createLags();
  const nodeWatch = createNodeWatch();
  const upload =
    config.decision_logs === null
      ? null
      : startUploadTo(config.decision_logs, {
          store,
          log,
          home,
          clock,
          version: version(),
          onError: (error, doing) => logger.error({ err: error }, doing),
          onRecovered: () => logger.info('the decision log is taken by its receiver again'),
        });
  if (upload !== null) stops.push(() => upload.close());
  const alerts = createAlerts({
    home,
    activity,
    lags,
    nodes: nodeWatch,
    lost: () => log.stats().lost,
    upload: () => upload?.state() ?? null,
    policySource: () => sourceTrouble(source.status()),
    sharedSince: () => shared?.stats().knownFrom ?? null,
    born: snapshot.birth,
    clock,
  });
  log.onCommit(alerts.look);
  const tail = createTail({ store, log });
  feed.subscribe(() => tail.wake());
  stops.push(async () => tail.close());
  // Not waited for: until then the last hour is known in part.
  void activity
    .warm(store, tenantsOf(config), logEnd)
    .catch((error: unknown) => logger.warn({ err: error }, 'the last hour could not be counted'));
  const nodes = await openNodes({
    store,
    home,
    clock,
    key: ring.feedKey,
    position: announcer.position,
    onLag: lags.record,
    onLease: nodeWatch.seen,
    onLeave: nodeWatch.gone,
  });
  const journal = createJournal({
    store,
    home,
    chains: snapshot.chains,
    own: config.node,
    key: ring.logKey,
    clock,
  });

  const authority = createAuthority({
    home,
    host: siteHost(config.public_url),
    keys,
    issuer: ring.issuer,
    trust: () => settled.settings.trust,
    store: announced,
    gate,
    spread: nodes.spread,
    hold: nodes.hold,
    release: nodes.release,
    shared: () => shared,
    clock,
    routes: () => settled.settings.routes.routes,
    states: snapshot.unregistered,
    fencedAt: snapshot.fenced_at,
    onError: (error, doing) => logger.error({ err: error }, `${doing}: not durable`),
  });
  authority.registerFromFile(config.runtimes);
  const configured = createConfigured({
    home,
    store: announced,
    gate,
    listed: authority.listed,
    withdrawn: authority.withdrawn,
    clock,
    onError: (error, doing) => logger.error({ err: error }, doing),
  });
  stops.push(async () => configured.close());
  void configured.tell();

  const taint = async (tenant: Tenant, runtimeId: string, why: string) => {
    const { durable } = await authority.taint(runtimeId, why, tenant);
    if (!durable) throw new Error('the taint could not be made durable');
  };
  const shared = await sharedOf(config, {
    clock,
    waitMs: () => running.config.limits.feed_ms,
    onRoundTrip: (ms) => metrics.sharedRoundTrip(ms),
    logger,
  });
  if (shared !== null) stops.push(() => shared.close());
  const traces = await tracesOf(config, logger);
  if (traces !== null) stops.push(() => traces.close());
  const pdp: Pdp = {
    node: config.node,
    clock,
    follow: traces?.follow,
    settings: () => settled.settings,
    chains: createChainCache(),
    gate,
    shared: shared ?? undefined,
    policies,
    log,
    taint,
    onError: (error, decision_id) =>
      logger.error({ err: error, decision_id }, 'a decision failed, and was denied'),
  };
  const tried = {
    store,
    archive,
    clock,
    onError: (error: unknown, doing: string) => logger.error({ err: error }, doing),
  };
  const impacts = createImpactJobs(tried);
  stops.push(() => impacts.close());
  const shadow = createShadow({ ...tried, home });
  stops.push(() => shadow.close());
  await shadow.resume().catch((error) => tried.onError(error, 'the shadow of a policy did not begin again'));
  const metrics = createMetrics({
    shadow: () => ({ bundles: shadow.bundles(), counts: shadow.counts() }),
    admission: () => admission.stats(),
    log: () => log.stats(),
    gate: () => ({ ready: gate.ready, runtimes: [...gate.runtimes()].length, nonces: gate.nonces }),
    bundles: () => activeOf(policies),
    policySource: source.status,
    storeWritable: () => store.health().writable,
    nodes: nodes.list,
    shared: shared === null ? null : shared.stats,
    traces: traces === null ? null : traces.stats,
  });
  log.onRecord(metrics.recorded);
  const admission = createAdmission(
    pdp,
    (request) => decide(request, pdp),
    () => running.config.limits,
  );
  stops.push(async () => admission.close());
  const answer = metrics.timed(admission.decide);
  const admitted = metrics.timed(admission.admitted);
  const ready = () => gate.ready;
  const operators = createOperators({ ...home, key: keys.operatorKey });
  const exchanges: Exchange = (request, wish) =>
    exchange(request, wish, pdp, ring.issuer(), authority.settings.sunset);

  const grpc: GrpcServer[] = [];
  const outside = options.firewallOnly !== true;
  for (const listener of outside ? config.listen.grpc : []) {
    const bound = listening(listener, 'listen.grpc');
    const server = await startGrpc({
      ...bound,
      decide: admitted,
      inTurn: admission.inTurn,
      ready,
      log: logger,
    });
    stops.push(() => server.drain());
    grpc.push(server);
  }
  const access = createAccess({
    home,
    owner: ownerAt(siteHost(config.public_url), keys),
    secret: accessSecret(keys),
    keepMs: () => running.config.log.keep_ms,
    validFrom: snapshot.fenced_at ?? 0,
    store,
    clock,
    onError: (error, doing) => logger.error({ err: error }, doing),
  });
  // What does not bear this deployment's tag is not even looked up: the store is not there for those who guess.
  const authenticate = async (key: string) =>
    operators.authenticate(key) ?? (access.tokens.genuine(key) ? access.apiKeys.authenticate(key) : null);
  const decision = outside
    ? await startDecisionServer({
        ...listening(config.listen.decision, 'listen.decision'),
        decide: answer,
        exchange: exchanges,
        authzen: { routes: () => settled.settings.routes, authenticate },
        ready,
        log: logger,
      })
    : null;
  stops.push(async () => decision?.close());
  const tracer = createTracer(options.compiler === undefined ? {} : { compiler: options.compiler });
  stops.push(() => tracer.close());
  const opaKey = opaKeyOf(ring.bundleSeed);
  const served = createServedBundles({ policies, archive, signer: opaKey });
  const control = await startControlServer({
    ...listening(config.listen.control, 'listen.control'),
    authority,
    operators,
    tokens: createTokens({ trust: () => settled.settings.trust, gate, clock, revoke: authority.revoke }),
    exchange: exchanges,
    bundles: served,
    opaKey,
    home,
    publicUrl: config.public_url,
    access,
    // Records of low risk are written behind their answers: whoever asks for one that was answered must find it.
    queryDecisions: (query) => log.settled(READ_WAIT_MS).then(() => store.queryRecords(query)),
    cursors: createCursors(cursorKey(keys)),
    async *exportDecisions(tenant, { proven, filters, after }) {
      await log.settled(READ_WAIT_MS);
      if (!proven) return yield* exportItems(store, tenant, filters, after);
      await vouch(logged, ring.logKey(), clock).catch((error: unknown) =>
        logger.error({ err: error }, 'an export without a checkpoint at its end'),
      );
      let lost = false;
      const release = await retention.hold(() => {
        lost = true;
      });
      try {
        for await (const item of provenLines(store, tenant)) {
          if (lost) throw new Error('the database is all but full: an export gave way to its pruning');
          yield item;
        }
      } finally {
        release();
      }
    },
    monitor: {
      tail,
      activity,
      alerts,
      streams: createEventStreams(),
      eventsAfter: (seq, limit) => store.eventsAfter(seq, limit),
      lastEvent: () => announcer.position().seq,
      clock,
    },
    keys: ring,
    nodes: {
      nodes,
      journal,
      feed,
      announcer,
      snapshot: async (known) => {
        await configured.remember();
        const state = feedSnapshot({
          home,
          gate,
          ring,
          policies,
          known,
          position: announcer.position(),
          clock,
        });
        return signStatement('snapshot', state, ring.feedKey());
      },
      bundle: (sha256) => store.getBundle(sha256),
      taint: authority.taint,
    },
    policies: policyVerbs,
    impacts,
    shadow,
    policySource: source.status,
    backup:
      config.store === null
        ? createBackup({ folder: config.data, store, key: ring.logKey, home, clock })
        : refuseBackup,
    decide: answer,
    replays: createReplays(pdp),
    explain: (id, tenant, trace) =>
      log.settled(READ_WAIT_MS).then(() => explain(id, tenant, { store, policies, archive, tracer }, trace)),
    metrics,
    ready,
    log: logger,
    version: version(),
  });
  stops.push(() => control.close());
  // Before that: whoever waits for a bundle is answered, and not waited for.
  stops.push(async () => served.close());
  const firewall = await firewallOf(config, {
    decide: answer,
    taint,
    watch: gate.changed,
    clock,
    log: logger,
  });
  if (firewall !== null) stops.push(() => firewall.close());

  const secured = [
    ...config.listen.grpc.map((one, i) => securedBy(one, 'listen.grpc', grpc[i]?.tls ?? null)),
    securedBy(config.listen.decision, 'listen.decision', decision?.tls ?? null),
    securedBy(config.listen.control, 'listen.control', control.tls),
  ];
  return {
    addresses: {
      grpc: grpc.map((server) => server.address),
      decision: decision?.address ?? '',
      control: control.address,
      firewall: firewall?.address ?? null,
    },
    operatorKeyFile: operatorKeyFile(config.data),
    live: {
      freshness: gate.freshness,
      connected: () => null,
      runtimes: () => runtimesOf(gate, home),
      bundles: () => activeOf(policies),
      replay: dryRun(pdp, home, firewall),
      onRecord: log.onRecord,
    },
    reload: async (next) => {
      const problems = fixedProblems(FIXED, running.config, next.config);
      if (problems.length > 0) throw new InputError(problems);
      const renewals = renewalsOf(secured);
      // What can refuse comes first, so that a refused reload leaves all as it was.
      settingsFrom(next, ring);
      const setting = next.config.bundles;
      const bundles = isRego(setting)
        ? null
        : await configuredBundles(next.config, bundleServer, ring, clock);
      await store.limit(next.config.log.max_bytes);
      await firewall?.replace(next.config.firewall ?? NOTHING);
      try {
        authority.registerFromFile(next.config.runtimes);
        if (isRego(setting)) await source.begin(setting);
        if (bundles !== null) await policyVerbs.take(bundles);
      } catch (error) {
        await firewall?.replace(running.config.firewall ?? NOTHING);
        authority.registerFromFile(running.config.runtimes);
        await store.limit(running.config.log.max_bytes);
        throw refusedBundle(error);
      }
      if (bundles !== null) source.end();
      for (const { guard, tls } of renewals) guard.renew(tls);
      // Made anew: a key may have been rotated in the meantime.
      settled.settings = settingsFrom(next, ring);
      running = next;
      void configured.tell();
      void retention.run();
    },
    reloadBundles: async () => {
      const before = activeOf(policies);
      await (isRego(running.config.bundles)
        ? source.look()
        : policyVerbs.take(await configuredBundles(running.config, bundleServer, ring, clock))
      ).catch((error) => {
        throw refusedBundle(error);
      });
      return activeOf(policies).filter(({ sha256 }) => !before.some((ref) => ref.sha256 === sha256));
    },
    stop,
  };
}

/** Proofs count whole seconds, and a fence covers the one that it was made in: what is issued then would be behind it. */
async function secondAfter(fencedAt: number | null): Promise<void> {
  if (fencedAt === null) return;
  const left = (Math.floor(fencedAt / 1000) + 1) * 1000 - Date.now();
  if (left > 0 && left <= 1000) await new Promise((resolve) => setTimeout(resolve, left));
}

/** The streams of this process, and Redis where there is one: nodes hear sooner of what comes first. */
async function carriers({ feed: server, org, env }: Config): Promise<Feed> {
  const local = createLocalFeed();
  if (server === null) return local;
  const redis = (await import('./feed/redis.ts')).createRedisFeed({ server, org, env });
  return {
    async publish(event) {
      await local.publish(event);
      await redis.publish(event);
    },
    subscribe: local.subscribe,
    async close() {
      await local.close();
      await redis.close();
    },
  };
}

interface SharedWishes {
  readonly clock: () => number;
  readonly waitMs: () => number;
  readonly onRoundTrip: (ms: number) => void;
  readonly logger: Logger;
}

/** What all nodes count together, when it has been reached or was found to be away; null where nothing is configured. */
export async function sharedOf(
  { feed }: Config,
  { logger, ...wishes }: SharedWishes,
): Promise<Shared | null> {
  if (feed === null) return null;
  // Loaded only where it is used: the client costs start-up time.
  const [{ createRedisLink }, { createRedisShared }] = await Promise.all([
    import('./feed/redis-link.ts'),
    import('./feed/redis-shared.ts'),
  ]);
  const link = createRedisLink({
    server: feed,
    ...wishes,
    onState: (up, why) =>
      up
        ? logger.info('Redis is there: nonces and budgets are counted over all nodes')
        : logger.error({ why }, 'Redis is away: requests with a PoP or a budget are denied until it is back'),
  });
  await link.tried;
  return createRedisShared(link);
}

/** Null where no traces are configured: then nothing of them is loaded. */
export async function tracesOf(
  { telemetry: { traces: target }, node, org, env }: Config,
  logger: Logger,
): Promise<Traces | null> {
  if (target === null) return null;
  const headersFile = target.headers_file;
  const { createTraces } = await import('./server/traces.ts');
  return createTraces({
    target,
    headers: () => (headersFile === null ? {} : headerLines(headersFile)),
    about: { node, org, env, version: version() },
    onState: (up, why) =>
      up
        ? logger.info('the collector takes traces again')
        : logger.warn({ why }, 'the collector takes no traces: spans are dropped, and counted'),
  });
}

interface State {
  readonly store: Store;
  readonly snapshot: Snapshot;
  /** Seconds: spent nonces of the time before are not known. Null: they are. */
  readonly lostAt: number | null;
}

/** Opens the database and reads what is in it. It is closed with the rest. Throws InputError (`store`), StoreOpenError. */
async function openState(
  { data, store: setting, node, log, org, env }: Config,
  hadKeys: boolean,
  clock: () => number,
  stops: Stops,
  onFenced: (seen: SeenPlace, found: SeenPlace) => void,
): Promise<State> {
  const path = join(data, DATABASE);
  const maxBytes = log.max_bytes;
  const now = () => Math.floor(clock() / 1000);
  if (setting === null) {
    const lostAt = memoryLostAt(data, path, hadKeys, now());
    const store = await openStore({ path, clock, maxBytes });
    stops.push(() => store.close());
    return { store, snapshot: await store.load(), lostAt };
  }
  if (existsSync(path)) {
    const message = `${path} is there too, with kills and revocations that ${setting.shown} would not know: move it away, or take \`store\` out`;
    throw new InputError([{ field: 'store', message }]);
  }
  // Only who says `store` loads its driver.
  const { openPostgres } = await import('./store/postgres/store.ts');
  const seen = openSeen(join(data, SEEN));
  const before = seen.last();
  const guard = { seen, home: { org, env }, onFenced };
  const store = await openPostgres({ address: setting.address(), node, clock, maxBytes, guard }).catch(
    (error: unknown) => {
      seen.close();
      throw error;
    },
  );
  stops.push(() => store.close());
  const snapshot = await store.load();
  // The database that this folder's keys were used with has not forgotten, however young it is.
  const same = before?.store_id === snapshot.store_id;
  return { store, snapshot, lostAt: same ? null : memoryBornAt(snapshot.birth, hadKeys, now()) };
}

/** A listener with its TLS files read. Throws InputError. */
export function listening({ address, mode, tls }: Listener, field: string) {
  return { address, mode, tls: tls === null ? null : readTls(tls, field) };
}

export interface Secured {
  readonly files: TlsFiles;
  readonly field: string;
  readonly guard: TlsGuard;
}

export function securedBy({ tls: files }: Listener, field: string, guard: TlsGuard | null): Secured | null {
  return files === null || guard === null ? null : { files, field, guard };
}

/** Reads their files anew. Throws InputError. */
export function renewalsOf(
  secured: readonly (Secured | null)[],
): { readonly guard: TlsGuard; readonly tls: Tls }[] {
  return secured.flatMap((one) =>
    one === null ? [] : [{ guard: one.guard, tls: readTls(one.files, one.field) }],
  );
}

function settingsFrom({ config, revision }: LoadedConfig, ring: KeyRing): Settings {
  const { org, env } = config;
  const routes = firewallRoutes(config.firewall, { org, env });
  return settingsOf(config, revision, ring.trusted('authority'), routes);
}

/** The configuration's firewall, or null where it has none. `taint` as the Pdp's. */
export async function firewallOf(
  { firewall, org, env, data }: Config,
  {
    decide,
    taint,
    watch,
    clock,
    log,
  }: Required<Pick<FirewallOptions, 'decide' | 'watch' | 'log'>> & Pick<Pdp, 'taint' | 'clock'>,
): Promise<Firewall | null> {
  if (firewall === null) return null;
  const { startFirewall } = await import('./firewall/firewall.ts');
  return startFirewall({
    address: firewall.listen,
    apis: firewall.apis,
    proxy: firewall.proxy,
    agents: firewall.agents,
    mcp: { servers: firewall.mcp, pinFile: join(data, PIN_FILE), clock },
    decide,
    taint: (actor, { api, decision_id }) =>
      taint({ org, env }, actor.runtime_id, `answer of ${api} (${decision_id})`),
    watch,
    log,
  });
}

/** What the firewall, where there is one, would decide about described requests. */
export function dryRun(pdp: Pdp, within: Tenant, firewall: Firewall | null): Live['replay'] {
  const replays = createReplays(pdp);
  const received = (one: AuthorizeBody) => {
    const { method, target, host, headers, body } = described(one);
    return { method, target, host, headers, body, protocol: 'HTTP/1.1', address: '127.0.0.1' };
  };
  const toRequest = firewall === null ? described : (one: AuthorizeBody) => firewall.asked(received(one));
  return (body) => replayed(body, replays, within, toRequest);
}

export function runtimesOf(gate: Pick<Gate, 'runtimes'>, { org, env }: Tenant): LiveRuntime[] {
  return [...gate.runtimes()].filter((runtime) => runtime.org === org && runtime.env === env);
}

/** Those that decisions can be about. */
function tenantsOf({ org, env, trust }: Config): Tenant[] {
  const known = [{ org, env }, ...trust].map((tenant) => [`${tenant.org}/${tenant.env}`, tenant] as const);
  return [...new Map(known).values()].map((tenant) => ({ org: tenant.org, env: tenant.env }));
}

function startUploadTo(
  { token_file, ...target }: NonNullable<Config['decision_logs']>,
  parts: Omit<Parameters<typeof startUpload>[0], 'target'>,
): Upload {
  const token = () => (token_file === null ? null : headerSecret(token_file));
  return startUpload({ ...parts, target: { ...target, token } });
}

/** Runs the retention now and then. Gives what ends it. */
function every(ms: number, retention: Retention): () => Promise<void> {
  const timer = setInterval(() => void retention.run(), ms).unref();
  void retention.run();
  return async () => clearInterval(timer);
}

/** What the clock is held against: the latest record, unless the operator vouches for the clock of today. */
interface Believed {
  readonly latestRecord: number;
  /** Seconds; nonces of the time before may have been forgotten under the wrong clock. */
  readonly memoryLostAt: number | null;
}

function believed(
  { latest_record }: Snapshot,
  now: number,
  { trustClock }: AppOptions,
  logger: Logger,
): Believed {
  if (latest_record <= now) return { latestRecord: latest_record, memoryLostAt: null };
  if (trustClock === true) return { latestRecord: now, memoryLostAt: Math.floor(now / 1000) };
  const latest = new Date(latest_record).toISOString();
  logger.warn(
    { latest },
    'the clock is behind the latest record: proofs are denied (clock_untrusted) until it has caught up; if it was wrong then and is right now, start once with --trust-clock',
  );
  return { latestRecord: latest_record, memoryLostAt: null };
}

function loadGate(gate: Gate, snapshot: Snapshot, lostAt: number | null, clock: Believed): void {
  gate.load({
    runtimes: snapshot.runtimes,
    revocations: snapshot.revocations,
    nonces: snapshot.nonces,
    budgets: snapshot.budgets,
    position: snapshot.last,
    memoryLostAt: latestOf(clock.memoryLostAt ?? lostAt, seconds(snapshot.fenced_at)),
    fencedAt: seconds(snapshot.fenced_at),
    latestRecord: clock.latestRecord,
  });
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : Math.floor(ms / 1000);
}

function latestOf(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.max(a, b);
}

/** How far each profile had come: an older bundle stays refused after a restart. */
function marksOf(snapshot: Snapshot): Map<Profile, Mark> {
  const was = snapshot.bundles.filter(({ activated_at }) => activated_at !== null);
  const highest = (of: string) =>
    Math.max(...was.filter(({ name }) => name === of).map(({ serial }) => serial));
  return new Map(
    snapshot.bundles
      .filter((bundle) => bundle.active)
      .map(({ name, revision, sha256 }) => [name as Profile, { serial: highest(name), revision, sha256 }]),
  );
}

/** A bundle that is refused is a mistake of the configuration. */
function refusedBundle(error: unknown): unknown {
  return error instanceof Denial
    ? new InputError([{ field: 'bundles.source', message: `${error.code}: ${error.message}` }])
    : error;
}

function activeOf(policies: PolicyRegistry): BundleRef[] {
  return PROFILES.map((profile) => policies.active(profile).ref);
}

async function configuredBundles(
  config: Config,
  server: BundleServer,
  ring: KeyRing,
  clock: () => number,
): Promise<Trusted> {
  const { source } = config.bundles;
  if (source === 'embedded') return { bundles: await loadEmbedded(), trust: EMBEDDED_TRUST };
  const bundles = await Promise.all(PROFILES.map((profile) => bundleIn(source, profile, server)));
  const keys = bundleKeys(config, ring);
  const now = Math.floor(clock() / 1000);
  return { bundles, trust: { kind: 'signed', keys, opaKeys: opaKeys(config), now } };
}

/** What was wrong with them kept the configuration from being loaded. One whose file is gone since then is trusted no more. */
function opaKeys(config: Config): ReadonlyMap<string, OpaKeyRead> {
  return readOpaKeys(config).keys;
}

function sourceTrouble(status: SourceStatus | null): PolicySourceTrouble | null {
  const [rejected] = status?.rejected ?? [];
  if (status?.behind === true && rejected !== undefined) {
    const { at, commit, code, message } = rejected;
    return { since: at, commit, message: `${code}: ${message}` };
  }
  const failing = status?.failing ?? null;
  return failing === null ? null : { ...failing, commit: null };
}

function isRego(setting: BundleSetting): setting is RegoSetting {
  return setting.rego !== null;
}

function bundleKeys({ bundles }: Config, ring: KeyRing): Uint8Array[] {
  return [...bundles.keys, ...ring.trusted('bundle')].flatMap((key) => fromBase64url(key.x) ?? []);
}

/** A complaint names the bundle: three of them lie there. */
async function bundleIn(source: string, profile: Profile, server: BundleServer): Promise<Bundle> {
  const problemIn = (message: string) => new InputError([{ field: 'bundles.source', message }]);
  let bundle: Bundle;
  try {
    bundle = isServer(source) ? await server.read(source, profile) : await readProfileBundle(source, profile);
  } catch (error) {
    throw error instanceof InputError ? problemIn(`${profile}: ${error.message}`) : error;
  }
  if (bundle.name === profile) return bundle;
  throw problemIn(
    `${profile}: holds the bundle of ${bundle.name}; build it anew with \`lemma policy build\``,
  );
}

/** What can't change while the service runs: it is bound, opened or signed with. */
const FIXED = [
  'listen',
  'data',
  'store',
  'feed',
  'org',
  'env',
  'node',
  'public_url',
  'decision_logs',
  'telemetry',
] as const;

/** A reload that would change one of these is refused. */
export function fixedProblems(names: readonly (keyof Config)[], running: Config, next: Config): Problem[] {
  const problems: Problem[] = names
    .filter((name) => JSON.stringify(running[name]) !== JSON.stringify(next[name]))
    .map((field) => ({ field, message: 'takes effect at a restart only: restart, or put back what it was' }));
  if (running.firewall?.listen !== next.firewall?.listen) {
    problems.push({ field: 'firewall.listen', message: 'takes effect at a restart only' });
  }
  return problems;
}

export function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : '';
}

export function loggerTo({ output, level = 'info' }: AppOptions): Logger {
  return output === undefined
    ? pino({ level }, pino.destination({ dest: 2, sync: true }))
    : pino({ level }, { write: (line: string) => output(line.trimEnd()) });
}
