import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import { publicKeyOf } from '#runtime';
import { createAccess } from '../../src/authority/access.ts';
import { createAnnouncer } from '../../src/authority/announce.ts';
import { feedSnapshot } from '../../src/authority/feed-snapshot.ts';
import { accessSecret, ownerAt } from '../../src/authority/identity.ts';
import { createJournal } from '../../src/authority/journal.ts';
import { type KeyRing, openKeyRing } from '../../src/authority/key-ring.ts';
import { openNodes } from '../../src/authority/nodes.ts';
import { createOperators } from '../../src/authority/operators.ts';
import { createPolicies, type Policies } from '../../src/authority/policies.ts';
import { createRevisions } from '../../src/authority/revisions.ts';
import { createActivity } from '../../src/decision-log/activity.ts';
import { createAlerts } from '../../src/decision-log/alerts.ts';
import { createLags } from '../../src/decision-log/lags.ts';
import { createNodeWatch } from '../../src/decision-log/node-watch.ts';
import { createTail } from '../../src/decision-log/tail.ts';
import { createLocalFeed } from '../../src/feed/local.ts';
import { signStatement } from '../../src/feed/statement.ts';
import { createImpactJobs } from '../../src/pdp/impact/jobs.ts';
import { createShadow } from '../../src/pdp/shadow.ts';
import { storeArchive } from '../../src/policy/archive.ts';
import { PolicyRegistry } from '../../src/policy/registry.ts';
import type { Decision } from '../../src/schema/decision.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import { type ControlApi, controlApp } from '../../src/server/control-api.ts';
import { createCursors } from '../../src/server/cursors.ts';
import { createEventStreams } from '../../src/server/event-streams.ts';
import { createMetrics } from '../../src/server/metrics.ts';
import type { NodesApi } from '../../src/server/nodes-api.ts';
import { HOME, openWorld, type World } from '../authority/support.ts';
import { memoryArchive } from '../policy/support.ts';

export const KEY = `lm_op_${'k'.repeat(42)}A`;
export const AUTH = { authorization: `Bearer ${KEY}` };
export const DECISION_ID = `dec_${'A'.repeat(22)}`;

export function decision(over: Partial<Decision> = {}): Decision {
  return {
    decision_id: DECISION_ID,
    verdict: 'allow',
    reason: 'allowed',
    reasons: [],
    stage: 'answer',
    actor: {
      subject: `did:lemma:ppid_${'0'.repeat(64)}`,
      runtime_id: 'bot-1',
      agent_id: 'bot',
      workspace_id: 'main',
      run_id: null,
      scope: ['documents.read'],
    },
    result: null,
    strip: ['x-lemma-credential'],
    rewrite: [],
    observed: false,
    taintOnResponse: false,
    ...over,
  };
}

export const denial = (over: Partial<Decision> = {}): Decision =>
  decision({ verdict: 'deny', reason: 'scope_denied', reasons: ['scope_denied'], stage: 'proof', ...over });

/** A decide that says what it is told to, and keeps what it was asked. */
export function scripted(answer: Decision | (() => Promise<Decision>) = decision()) {
  const asked: AuthzRequest[] = [];
  const decide = async (request: AuthzRequest): Promise<Decision> => {
    asked.push(request);
    return typeof answer === 'function' ? answer() : answer;
  };
  return { decide, asked };
}

export function memoryLog(): { log: Logger; lines: () => string[] } {
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  return { log: pino(sink), lines: () => lines };
}

export function metrics() {
  return createMetrics({
    log: () => ({ queued: 1, lost: 2, written: 3 }),
    gate: () => ({ ready: true, runtimes: 4, nonces: 5 }),
    bundles: () => [{ name: 'low', revision: 'r1', sha256: 'ab' }],
    storeWritable: () => true,
    admission: () => ({ running: 6, queued: 7, abandoned: 8, overloaded: 9, rate_limited: 10 }),
  });
}

/** The key of a test's own: cursors can be made as the service makes them. */
export const CURSORS = createCursors(new Uint8Array(32));

/** What the monitor reads, over a store that no log writes to. */
export function monitorOf({ store }: World) {
  const activity = createActivity(Date.now);
  const sources = {
    home: HOME,
    lags: createLags(),
    nodes: createNodeWatch(),
    lost: () => 0,
    upload: () => null,
    sharedSince: () => null,
    born: 0,
  };
  return {
    activity,
    alerts: createAlerts({ ...sources, activity, clock: Date.now }),
    tail: createTail({ store, log: { onRecord: () => () => undefined } }),
    streams: createEventStreams(),
    eventsAfter: (seq: number, limit: number) => store.eventsAfter(seq, limit),
    lastEvent: () => 0,
    clock: Date.now,
  };
}

function ringOf({ folder, keys, store }: World) {
  return openKeyRing({
    folder,
    keys,
    known: [],
    store,
    home: HOME,
    clock: Date.now,
    onChange: () => undefined,
    onError: (error) => {
      throw error;
    },
  });
}

function nothingServed(): ControlApi['bundles'] {
  return {
    tag: () => 'W/"none"',
    bundle: () => Promise.reject(new Error('not asked for')),
    changed: async () => undefined,
    close: () => undefined,
  };
}

/** A deployment whose policies nobody has put into force yet; its own bundle key signs. */
function policiesOf({ keys, store }: World): Policies {
  const archive = storeArchive(store);
  return createPolicies({
    registry: new PolicyRegistry(archive),
    archive,
    store,
    revisions: createRevisions({ store, home: HOME, clock: Date.now }),
    home: HOME,
    clock: Date.now,
    keys: () => [publicKeyOf(keys.bundle)],
    opaKeys: () => new Map(),
  });
}

function triedOf({ store }: World): Pick<ControlApi, 'impacts' | 'shadow'> {
  const onError = (error: unknown) => {
    throw error;
  };
  const parts = { store, archive: memoryArchive(), clock: Date.now, onError };
  return { impacts: createImpactJobs(parts), shadow: createShadow({ ...parts, home: HOME }) };
}

async function nodesOf({ store, authority, gate }: World, ring: KeyRing): Promise<NodesApi> {
  const feed = createLocalFeed();
  const last = (await store.load()).last;
  const fail = (error: unknown) => {
    throw error;
  };
  const announcer = createAnnouncer({ store, feed, key: ring.feedKey, last, onError: fail });
  const { position } = announcer;
  return {
    nodes: await openNodes({ store, home: HOME, key: ring.feedKey, position, clock: Date.now }),
    journal: createJournal({
      ...{ store, home: HOME, chains: [], own: 'control', key: ring.logKey, clock: Date.now },
    }),
    feed,
    announcer,
    snapshot: async (known) =>
      signStatement(
        'snapshot',
        feedSnapshot({
          home: HOME,
          gate,
          ring,
          policies: { marks: () => new Map() },
          known,
          position: position(),
          clock: Date.now,
        }),
        ring.feedKey(),
      ),
    bundle: (sha256) => store.getBundle(sha256),
    taint: authority.taint,
  };
}

/** Who may call the control plane of this world, by its store. */
export function accessOf(
  { store, keys }: Pick<World, 'store' | 'keys'>,
  clock: () => number = Date.now,
  onError: (error: unknown) => void = (error) => {
    throw error;
  },
) {
  return createAccess({
    home: HOME,
    owner: ownerAt('localhost', keys),
    secret: accessSecret(keys),
    keepMs: () => 86_400_000,
    validFrom: 0,
    store,
    clock,
    onError,
  });
}

/** A control plane over a real authority; what a test does not give is the plainest that works. */
export async function controlWorld(
  over: Partial<ControlApi> | ((world: World) => Partial<ControlApi>) = {},
  within: (world: World) => Partial<ControlApi> = () => ({}),
  clock?: () => number,
) {
  const world: World = await openWorld(clock);
  const { log, lines } = memoryLog();
  const keys = await ringOf(world);
  const app = controlApp({
    authority: world.authority,
    policies: policiesOf(world),
    ...triedOf(world),
    policySource: () => null,
    keys,
    nodes: await nodesOf(world, keys),
    backup: () => Promise.reject(new Error('not asked for')),
    operators: createOperators({ ...HOME, key: KEY }),
    bundles: nothingServed(),
    opaKey: () => {
      throw new Error('not asked for');
    },
    tokens: { introspect: () => null, revoke: async () => undefined },
    exchange: () => Promise.reject(new Error('not asked for')),
    access: accessOf(world),
    home: HOME,
    publicUrl: null,
    decide: scripted().decide,
    ready: () => true,
    metrics: metrics(),
    log,
    version: '0.0.0',
    cursors: CURSORS,
    monitor: monitorOf(world),
    queryDecisions: (query) => world.store.queryRecords(query),
    exportDecisions: async function* () {},
    explain: async () => null,
    replays: {
      record: () => Promise.reject(new Error('not asked for')),
      request: () => Promise.reject(new Error('not asked for')),
    },
    ...(typeof over === 'function' ? over(world) : over),
    ...within(world),
  });
  return { world, app, lines, close: () => Promise.all([app.close(), world.close()]) };
}

/** The same, in a time that a test moves. */
export async function timedWorld() {
  const time = { now: Date.UTC(2026, 9, 1) };
  const clock = () => time.now;
  const control = await controlWorld({}, (world) => ({ access: accessOf(world, clock) }), clock);
  return { control, time };
}
