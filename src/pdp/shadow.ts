import { setTimeout as wait } from 'node:timers/promises';
import type { Bundle } from '../policy/bundle.ts';
import type { BundleArchive } from '../policy/registry.ts';
import type { BundleRef } from '../schema/decision.ts';
import type { Change, ShadowCounts } from '../schema/impact.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { lentPolicies, openPool, type Pool, sentCandidate } from './impact/pool.ts';
import type { Counted } from './impact/protocol.ts';

/** A candidate that is evaluated beside the active policy of its profile. `since`: milliseconds. */
export interface ShadowedBundle extends BundleRef {
  readonly since: number;
  readonly by: string;
}

/** What was found since the candidates were named last, or the service started. */
export interface ShadowFound {
  readonly bundles: readonly ShadowedBundle[];
  readonly counts: ShadowCounts;
  /** The latest first. */
  readonly changes: readonly Change[];
}

/**
 * Candidates beside the active policies, on decisions that are made: of this process and of its nodes. They are read from the
 * log, after their answers, in a thread of its own; nothing of an answer, a nonce or a budget depends on it. The log is the
 * queue: who is too far behind passes decisions over, and counts them.
 */
export interface Shadow {
  /** In the place of those that there were; none: it ends. */
  set(
    digests: readonly string[],
    by: string,
  ): Promise<readonly ShadowedBundle[] | 'bundle_unknown' | 'profile_twice'>;
  /** Changes of one tenant; counts of all. */
  found(tenant: Tenant): ShadowFound;
  counts(): ShadowCounts;
  bundles(): readonly ShadowedBundle[];
  /** What was shadowed when the service stopped. */
  resume(): Promise<void>;
  close(): Promise<void>;
}

export interface ShadowOptions {
  readonly store: Pick<Store, 'streamRecords' | 'logEnd' | 'getDocument' | 'putDocument'>;
  readonly archive: Pick<BundleArchive, 'get'>;
  readonly home: Tenant;
  readonly clock: () => number;
  readonly onError: (error: unknown, doing: string) => void;
  /** Records that may wait (10,000). */
  readonly behindAtMost?: number;
}

interface Run {
  readonly bundles: readonly ShadowedBundle[];
  readonly ending: AbortController;
  readonly done: Promise<void>;
}

interface Place {
  /** Behind what was given to the thread. */
  at: number;
  /** Records of each block that it has and has not judged: one thread, so in order. */
  readonly given: number[];
}

const KIND = 'policy_shadow';
const ID = 'now';
const PAGE = 500;
const CHANGES_AT_MOST = 1000;
/** How soon new records are looked for. */
const LOOK_EVERY_MS = 200;
const RETRY_MS = 2000;

export function createShadow(options: ShadowOptions): Shadow {
  const { store, archive, home, clock, onError, behindAtMost = 10_000 } = options;
  let run: Run | null = null;
  let counts = none();
  let changes: Change[] = [];
  let queue: Promise<unknown> = Promise.resolve();

  function counted(part: Counted): void {
    counts.same += part.same;
    counts.not_reproduced += part.not_reproduced;
    for (const { count } of Object.values(part.not_comparable)) counts.not_comparable += count;
    for (const change of part.changes) counts[change.kind] += 1;
    changes = [...changes, ...part.changes].slice(-CHANGES_AT_MOST);
  }

  async function begin(bundles: readonly Bundle[], named: readonly ShadowedBundle[]): Promise<void> {
    counts = none();
    changes = [];
    if (bundles.length === 0) return;
    const { position } = await store.logEnd();
    const data = { candidates: await Promise.all(bundles.map(sentCandidate)), only: null, broken: null };
    const lent = lentPolicies(
      (sha256) => archive.get(sha256),
      () => undefined,
    );
    const ending = new AbortController();
    const place: Place = { at: position, given: [] };
    const open = () =>
      openPool(1, data, lent, (part) => {
        place.given.shift();
        counted(part);
      });
    run = { bundles: named, ending, done: follow(open, place, ending.signal) };
  }

  /** Never rejects: after what fails a new thread goes on behind it; what the old one had is counted as passed over. */
  async function follow(open: () => Pool, place: Place, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const pool = open();
      try {
        await judgeAll(pool, place, signal);
      } catch (error) {
        if (signal.aborted) break;
        onError(error, 'the shadow of a policy failed; it goes on');
        await wait(RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined);
      } finally {
        await pool.close();
        for (const records of place.given.splice(0)) counts.dropped += records;
      }
    }
  }

  async function judgeAll(pool: Pool, place: Place, signal: AbortSignal): Promise<void> {
    const stop = () => pool.fail(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    try {
      while (!signal.aborted) {
        const { records, next, done } = await store.streamRecords('any', place.at, PAGE);
        // A thread that failed before takes nothing more: the next one does.
        if (records.length > 0) {
          await pool.give(new TextEncoder().encode(records.map(({ line }) => line).join('\n')));
          place.given.push(records.length);
        }
        place.at = next;
        if (done) await wait(LOOK_EVERY_MS, undefined, { signal, ref: false });
        else await catchUp(place);
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async function catchUp(place: Place): Promise<void> {
    const { position } = await store.logEnd();
    const beyond = position - place.at - behindAtMost;
    if (beyond <= 0) return;
    counts.dropped += beyond;
    place.at += beyond;
  }

  async function end(): Promise<void> {
    const ended = run;
    run = null;
    ended?.ending.abort(new Error('the shadow ends'));
    await ended?.done;
  }

  async function kept(digests: readonly string[]): Promise<Bundle[] | null> {
    const bundles: Bundle[] = [];
    for (const sha256 of digests) {
      const bundle = await archive.get(sha256);
      if (bundle === null) return null;
      bundles.push(bundle);
    }
    return bundles;
  }

  async function remember(bundles: readonly ShadowedBundle[]): Promise<void> {
    const version = (await store.getDocument(KIND, ID))?.version ?? 0;
    await store.putDocument({ ...home, kind: KIND, id: ID, version, expires_at: null, body: { bundles } });
  }

  /** One change at a time. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = queue.then(act);
    queue = turn.catch(() => undefined);
    return turn;
  }

  return {
    set: (digests, by) =>
      inTurn(async () => {
        const bundles = await kept(digests);
        if (bundles === null) return 'bundle_unknown';
        if (new Set(bundles.map(({ name }) => name)).size < bundles.length) return 'profile_twice';
        const since = clock();
        const named = bundles.map(({ name, revision, sha256 }) => ({ name, revision, sha256, since, by }));
        await remember(named);
        await end();
        await begin(bundles, named);
        return named;
      }),
    found: ({ org, env }) => ({
      bundles: run?.bundles ?? [],
      counts: { ...counts },
      changes: changes.filter((change) => change.org === org && change.env === env).toReversed(),
    }),
    counts: () => ({ ...counts }),
    bundles: () => run?.bundles ?? [],
    resume: () =>
      inTurn(async () => {
        const document = await store.getDocument(KIND, ID);
        if (document === null) return;
        const { bundles: named } = document.body as { readonly bundles: readonly ShadowedBundle[] };
        const bundles = await kept(named.map(({ sha256 }) => sha256));
        if (bundles !== null) await begin(bundles, named);
      }),
    close: () => inTurn(end),
  };
}

function none(): { -readonly [Name in keyof ShadowCounts]: number } {
  return {
    same: 0,
    newly_allowed: 0,
    newly_denied: 0,
    reason_changed: 0,
    effects_changed: 0,
    error: 0,
    not_comparable: 0,
    not_reproduced: 0,
    dropped: 0,
  };
}
