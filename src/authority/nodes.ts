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
const DOCUMENT = 'node';
const PAGE = 1000;

/** What a node says when it asks for a lease. `epoch`, `seq`: what it has applied. */
export interface LeaseRequest {
  readonly node: string;
  readonly nonce: string;
  readonly epoch: number;
  readonly seq: number;
  readonly version: string;
}

/** Times in milliseconds. `lag`: events of the log that it has not said to have applied. `leased_for` 0: it may allow nothing. */
export interface NodeState {
  readonly node: string;
  readonly epoch: number | null;
  readonly seq: number | null;
  readonly lag: number | null;
  readonly lease_age_ms: number | null;
  readonly leased_for_ms: number;
  readonly version: string | null;
}

export interface Nodes {
  /** Says that the node was up to date, if it has applied all there is; remembers until when it may so allow. */
  lease(request: LeaseRequest): Promise<Lease>;
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
  readonly store: Pick<Store, 'putDocument' | 'getDocument' | 'listDocuments'>;
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
  }) => void;
}

interface Known {
  readonly node: string;
  epoch: number | null;
  seq: number | null;
  version: string | null;
  /** By the monotonic clock: when it was last granted a lease (null: not by this process), and until when the longest holds. */
  grantedAt: number | null;
  until: number;
  /** When the store was told of it. */
  keptAt: number;
}

/**
 * The nodes and the leases that they hold. Which nodes there are is durable before any is leased: an authority that was
 * killed knows after its start that those may still allow, for as long as a lease lives.
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
    for (const { id } of page.documents)
      known.set(id, {
        ...unheard(id),
        until: steady() + LEASE_MS + MARGIN_MS,
        keptAt: Number.NEGATIVE_INFINITY,
      });
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);

  async function remember(node: string): Promise<void> {
    const before = await store.getDocument(DOCUMENT, node);
    const expires_at = clock() + FORGET_MS;
    await store.putDocument({
      ...home,
      kind: DOCUMENT,
      id: node,
      version: before?.version ?? 0,
      expires_at,
      body: {},
    });
  }

  const remembering = new Map<string, Promise<void>>();
  async function keep(entry: Known): Promise<void> {
    if (steady() - entry.keptAt < REMEMBER_MS) return;
    const { node } = entry;
    const writing = remembering.get(node) ?? remember(node).finally(() => remembering.delete(node));
    remembering.set(node, writing);
    await writing;
    entry.keptAt = steady();
  }

  const applied = (entry: Known, place: EventPlace) =>
    entry.epoch === place.epoch && entry.seq !== null && entry.seq >= place.seq;

  return {
    async lease({ node, nonce, epoch, seq, version }) {
      if (held.size > 0)
        throw new Refusal(
          'store_unavailable',
          'a stop is not durable yet: no node is vouched for until it is',
        );
      const entry = known.get(node) ?? unheard(node);
      known.set(node, entry);
      entry.version = version;
      // Answers may overtake each other; a node that starts again says less than before, and holds nothing older.
      entry.epoch = epoch;
      entry.seq = seq;
      for (const wake of waiting) wake();
      await keep(entry);
      // From here to the return no event can come between: what is granted is what is remembered.
      entry.grantedAt = steady();
      entry.until = entry.grantedAt + LEASE_MS + MARGIN_MS;
      options.onLease?.({ node, at: clock(), fresh_ms: LEASE_MS });
      const terms = { nonce, node, ...position(), max_age_ms: LEASE_MS, time: clock() };
      return signStatement('lease', terms, key());
    },
    async spread(place) {
      const began = steady();
      const holders = [...known.values()].filter(({ until }) => until > began);
      const lags = new Map<string, number>();
      const look = () => {
        for (const entry of holders)
          if (!lags.has(entry.node) && applied(entry, place)) {
            const ms = steady() - began;
            lags.set(entry.node, ms);
            options.onLag?.({ node: entry.node, ms, at: clock() });
          }
        return lags.size === holders.length;
      };
      if (!look()) await until(look, collectMs, waiting);
      const nodes: NodeLag[] = [...lags].map(([node, ms]) => ({ node, lag_ms: Math.round(ms * 10) / 10 }));
      const late = holders.filter(({ node }) => !lags.has(node));
      if (late.length === 0) return { enforced: true, nodes };
      const longest = Math.max(...late.map((entry) => entry.until)) - steady();
      return {
        enforced: false,
        pending: true,
        enforced_by: Math.ceil(clock() + Math.max(0, longest)),
        nodes,
      };
    },
    hold(stop) {
      held.add(stop);
      const left = Math.max(...[...known.values()].map((entry) => entry.until - steady()));
      if (!(left > 0)) return alone;
      return { enforced: false, pending: true, enforced_by: Math.ceil(clock() + left), nodes: [] };
    },
    release: (stop) => void held.delete(stop),
    list() {
      const now = steady();
      const { epoch, seq } = position();
      return [...known.values()]
        .map((entry) => ({
          node: entry.node,
          epoch: entry.epoch,
          seq: entry.seq,
          lag: entry.seq === null || entry.epoch !== epoch ? null : Math.max(0, seq - entry.seq),
          lease_age_ms: entry.grantedAt === null ? null : Math.round(now - entry.grantedAt),
          leased_for_ms: Math.max(0, Math.round(entry.until - now)),
          version: entry.version,
        }))
        .sort((a, b) => (a.node < b.node ? -1 : 1));
    },
  };
}

function unheard(node: string): Known {
  return {
    node,
    epoch: null,
    seq: null,
    version: null,
    grantedAt: null,
    until: Number.NEGATIVE_INFINITY,
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
