import type { Lease } from '../feed/lease.ts';
import { type FeedKey, signStatement } from '../feed/statement.ts';
import type { EventPlace, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { alone, type NodeLag, type Spread } from './enforcement.ts';
import { Refusal } from './refusal.ts';

/** The life of a lease: that of the profile that bears the oldest state (low). */
export const LEASE_MS = 30_000;
/** Clocks of two machines do not tick alike: a lease counts as held for this much longer than it says. */
const MARGIN_MS = 300;
/** How long an event's acknowledgements are waited for. */
const COLLECT_MS = 1000;
/** A node that has not been heard of for so long is forgotten, and how often the store is told that it was. */
const FORGET_MS = 86_400_000;
const REMEMBER_MS = 3_600_000;
/** A process that ended this long ago, while another of its name goes on, is forgotten sooner. Milliseconds. */
const FOLLOWED_MS = 60_000;
const DOCUMENT = 'node';
const PAGE = 1000;

/** A process of a node: its name, and what it drew by lot when it began. Two of one name are two that may allow. */
export interface NodeProcess {
  readonly node: string;
  readonly instance: string;
}

/** What a node says when it asks for a lease. `epoch`, `seq`: what it has applied. */
export interface LeaseRequest extends NodeProcess {
  readonly nonce: string;
  readonly epoch: number;
  readonly seq: number;
  readonly version: string;
  /** Digests of the policies in force at it. */
  readonly bundles?: readonly string[];
}

/**
 * Times in milliseconds. `lag`: events of the log that it has not said to have applied. `leased_for` 0: it may allow nothing.
 * `duplicate`: another process of this name lives beside it. `left`: it said that it allows nothing any more. `bundles` null:
 * it has not said.
 */
export interface NodeState extends NodeProcess {
  readonly duplicate: boolean;
  readonly epoch: number | null;
  readonly seq: number | null;
  readonly lag: number | null;
  readonly lease_age_ms: number | null;
  readonly leased_for_ms: number;
  readonly left: boolean;
  readonly version: string | null;
  readonly bundles: readonly string[] | null;
}

export interface Nodes {
  /**
   * Says that the node was up to date, if it has applied all there is; remembers until when it may so allow. Refusal:
   * conflict (it has left), store_unavailable.
   */
  lease(request: LeaseRequest): Promise<Lease>;
  /** The process says that it allows nothing any more: no stop waits for its lease. It gets no other one. */
  leave(process: NodeProcess): Promise<void>;
  /** Waits until every node that holds a lease has applied the event, a second at most. */
  spread(place: EventPlace): Promise<Spread>;
  list(): NodeState[];
  /**
   * A stop holds here and could not be made durable: no node will hear of it. No lease is given until it is released, so that
   * by `enforced_by` no node allows anything.
   */
  hold(stop: string): Spread;
  release(stop: string): void;
}

export interface NodesOptions {
  readonly store: Pick<Store, 'putDocument' | 'getDocument' | 'listDocuments' | 'removeDocument'>;
  readonly home: Tenant;
  readonly key: () => FeedKey;
  readonly position: () => EventPlace;
  readonly clock: () => number;
  /** Monotonic, milliseconds. */
  readonly steady?: () => number;
  readonly collectMs?: number;
  /** Told of each acknowledgement of an event, and of each lease. `at` in milliseconds since 1970. */
  readonly onLag?: (lag: { readonly node: string; readonly ms: number; readonly at: number }) => void;
  readonly onLease?: (lease: {
    readonly node: string;
    readonly at: number;
    readonly fresh_ms: number;
    readonly duplicate: boolean;
  }) => void;
  /** No process of that name is left that has not said so itself. */
  readonly onLeave?: (node: string) => void;
}

interface Known extends NodeProcess {
  epoch: number | null;
  seq: number | null;
  version: string | null;
  bundles: readonly string[] | null;
  /** By the monotonic clock: when it was first and last granted a lease (null: not by this process), and until when the longest holds. */
  firstAt: number | null;
  grantedAt: number | null;
  until: number;
  left: boolean;
  /** Questions of it under way: until they are answered it is not forgotten. */
  asking: number;
  /** When the store was told of it. */
  keptAt: number;
}

/**
 * The nodes and the leases that they hold, each process by itself: one that was started again has not applied what it did
 * before, and the one before it may still allow. Which there are is durable before any is leased: an authority that was killed
 * knows after its start that those may still allow, for as long as a lease lives.
 */
export async function openNodes(options: NodesOptions): Promise<Nodes> {
  const { store, home, key, position, clock, collectMs = COLLECT_MS } = options;
  const steady = options.steady ?? (() => performance.now());
  const known = new Map<string, Known>();
  const waiting = new Set<() => void>();
  const held = new Set<string>();

  let cursor: string | undefined;
  do {
    const page = await store.listDocuments(DOCUMENT, home, {
      limit: PAGE,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const { id, body } of page.documents) {
      const [node = '', instance = ''] = id.split(' ');
      const left = hasLeft(body);
      const until = left ? Number.NEGATIVE_INFINITY : steady() + LEASE_MS + MARGIN_MS;
      known.set(id, { ...unheard({ node, instance }), left, until });
    }
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);

  async function remember({ left, ...entry }: Known): Promise<void> {
    const id = idOf(entry);
    const before = await store.getDocument(DOCUMENT, id);
    const expires_at = clock() + FORGET_MS;
    const version = before?.version ?? 0;
    await store.putDocument({ ...home, kind: DOCUMENT, id, version, expires_at, body: left ? { left } : {} });
  }

  async function forget(entry: Known): Promise<void> {
    const id = idOf(entry);
    known.delete(id);
    const kept = await store.getDocument(DOCUMENT, id);
    if (kept !== null) await store.removeDocument(kept);
  }

  /** One write of a process at a time; who comes while one is under way shares it. */
  const remembering = new Map<string, Promise<void>>();
  async function keep(entry: Known): Promise<void> {
    const id = idOf(entry);
    if (steady() - entry.keptAt < REMEMBER_MS) return;
    const writing = remembering.get(id) ?? remember(entry).finally(() => remembering.delete(id));
    remembering.set(id, writing);
    await writing;
    entry.keptAt = steady();
  }

  const others = (entry: Known) =>
    [...known.values()].filter(({ node, instance }) => node === entry.node && instance !== entry.instance);

  /** One that was started again is heard of only after the one before it was heard of for the last time. */
  const duplicated = (entry: Known) => others(entry).some((other) => bothLive(entry, other, steady()));

  function forgetEnded(entry: Known): void {
    // What stays because the store fails is taken out by a later lease, or expires.
    for (const other of others(entry))
      if (other.asking === 0 && other.until + FOLLOWED_MS < steady()) forget(other).catch(() => undefined);
  }

  const applied = (entry: Known, place: EventPlace) =>
    entry.epoch === place.epoch && entry.seq !== null && entry.seq >= place.seq;

  return {
    async lease({ node, instance, nonce, epoch, seq, version, bundles }) {
      if (held.size > 0)
        throw new Refusal(
          'store_unavailable',
          'a stop is not durable yet: no node is vouched for until it is',
        );
      const process = { node, instance };
      const entry = known.get(idOf(process)) ?? unheard(process);
      if (entry.left) throw new Refusal('conflict', `this process of ${node} has left: start another one`);
      known.set(idOf(process), entry);
      entry.version = version;
      entry.bundles = bundles ?? null;
      // Questions may overtake each other; what was applied stays so.
      entry.seq = entry.epoch === epoch ? Math.max(entry.seq ?? 0, seq) : seq;
      entry.epoch = epoch;
      for (const wake of waiting) wake();
      entry.asking += 1;
      await keep(entry).finally(() => {
        entry.asking -= 1;
      });
      if (entry.left) throw new Refusal('conflict', `this process of ${node} has left`);
      // From here to the return no event can come between: what is granted is what is remembered.
      entry.grantedAt = steady();
      entry.firstAt ??= entry.grantedAt;
      entry.until = entry.grantedAt + LEASE_MS + MARGIN_MS;
      options.onLease?.({ node, at: clock(), fresh_ms: LEASE_MS, duplicate: duplicated(entry) });
      forgetEnded(entry);
      const terms = { nonce, node, ...position(), max_age_ms: LEASE_MS, time: clock() };
      return signStatement('lease', terms, key());
    },
    async leave(process) {
      const entry = known.get(idOf(process));
      if (entry === undefined || entry.left) return;
      entry.left = true;
      entry.until = steady();
      for (const wake of waiting) wake();
      if (others(entry).every(({ left }) => left)) options.onLeave?.(entry.node);
      await remembering.get(idOf(process))?.catch(() => undefined);
      entry.keptAt = Number.NEGATIVE_INFINITY;
      await keep(entry);
    },
    async spread(place) {
      const began = steady();
      const holders = [...known.values()].filter(({ until }) => until > began);
      const lags = new Map<Known, number>();
      const look = () => {
        for (const entry of holders)
          if (!lags.has(entry) && applied(entry, place)) {
            const ms = steady() - began;
            lags.set(entry, ms);
            options.onLag?.({ node: entry.node, ms, at: clock() });
          }
        return holders.every((entry) => lags.has(entry) || entry.left);
      };
      if (!look()) await until(look, collectMs, waiting);
      const nodes: NodeLag[] = [...lags].map(([{ node, instance }, ms]) => ({
        node,
        instance,
        lag_ms: Math.round(ms * 10) / 10,
      }));
      const late = holders.filter((entry) => !lags.has(entry) && !entry.left);
      if (late.length === 0) return { enforced: true, nodes };
      const longest = Math.max(...late.map((entry) => entry.until)) - steady();
      return {
        enforced: false,
        pending: true,
        enforced_by: Math.ceil(clock() + Math.max(0, longest)),
        nodes,
        waiting: late.map(({ node, instance }) => ({ node, instance })),
      };
    },
    hold(stop) {
      held.add(stop);
      const now = steady();
      const holders = [...known.values()].filter((entry) => entry.until > now);
      if (holders.length === 0) return alone;
      const left = Math.max(...holders.map((entry) => entry.until)) - now;
      const waiting = holders.map(({ node, instance }) => ({ node, instance }));
      return { enforced: false, pending: true, enforced_by: Math.ceil(clock() + left), nodes: [], waiting };
    },
    release: (stop) => void held.delete(stop),
    list() {
      const now = steady();
      const { epoch, seq } = position();
      return [...known.values()]
        .map((entry) => ({
          node: entry.node,
          instance: entry.instance,
          duplicate: duplicated(entry),
          epoch: entry.epoch,
          seq: entry.seq,
          lag: entry.seq === null || entry.epoch !== epoch ? null : Math.max(0, seq - entry.seq),
          lease_age_ms: entry.grantedAt === null ? null : Math.round(now - entry.grantedAt),
          leased_for_ms: Math.max(0, Math.round(entry.until - now)),
          left: entry.left,
          version: entry.version,
          bundles: entry.bundles,
        }))
        .sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
    },
  };
}

function idOf({ node, instance }: NodeProcess): string {
  return `${node} ${instance}`;
}

function hasLeft(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'left' in body && body.left === true;
}

/** Whether both hold a lease, and each was heard of after the other had come. */
function bothLive(a: Known, b: Known, now: number): boolean {
  if (a.grantedAt === null || b.grantedAt === null || a.until <= now || b.until <= now) return false;
  return a.grantedAt > (b.firstAt ?? now) && b.grantedAt > (a.firstAt ?? now);
}

function unheard({ node, instance }: NodeProcess): Known {
  return {
    node,
    instance,
    epoch: null,
    seq: null,
    version: null,
    bundles: null,
    firstAt: null,
    grantedAt: null,
    until: Number.NEGATIVE_INFINITY,
    left: false,
    asking: 0,
    keptAt: Number.NEGATIVE_INFINITY,
  };
}

/** Looks again at each call of what it puts into `wakes`, until it is so or the time is over. */
function until(look: () => boolean, ms: number, wakes: Set<() => void>): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      wakes.delete(wake);
      resolve();
    };
    const wake = () => {
      if (look()) end();
    };
    const timer = setTimeout(end, ms);
    wakes.add(wake);
  });
}
