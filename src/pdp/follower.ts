import { randomBytes } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { type ControlClient, ControlError, record } from '../feed/control-client.ts';
import { follow, type SignedEvent, verifyEvent } from '../feed/feed.ts';
import { nextKey } from '../feed/handover.ts';
import { readLease } from '../feed/lease.ts';
import { type FeedSnapshot, readSnapshot } from '../feed/snapshot.ts';
import type { Gate } from '../gate/gate.ts';
import type { LeaseHolder } from '../gate/lease.ts';
import { applyEvent, type EventEffects } from './apply-event.ts';

export interface FollowerOptions {
  readonly client: ControlClient;
  readonly node: string;
  /** Of this process (src/authority/nodes.ts). */
  readonly instance: string;
  readonly version: string;
  /** Digests of the policies that are in force here. */
  readonly bundles: () => readonly string[];
  readonly gate: Gate;
  readonly lease: LeaseHolder;
  /** Keys of the authority that are believed, by thumbprint. Grows with a rotation that one of them vouches for. */
  readonly keys: Map<string, Uint8Array>;
  readonly effects: EventEffects;
  /** Another log: its state was put into force. */
  readonly onSnapshot: (snapshot: FeedSnapshot) => void;
  /** Told of each change between following and not. */
  readonly onState: (connected: boolean, why: string) => void;
  readonly onError: (error: unknown, doing: string) => void;
}

export interface Follower {
  /** Takes an event that came by whatever way, if it is signed and the next one; what is known already changes nothing. */
  hear(event: SignedEvent): void;
  /** The same from a carrier that anybody may write to, and that may be ahead of the stream: what does not fit is passed over. */
  hint(event: SignedEvent): void;
  /** Whether the state here was whole after this call: asks the authority, shared by all who wait. Never rejects. */
  confirm(): Promise<boolean>;
  /** Resolves once the event is applied here, false after `ms`. */
  applied(seq: number, ms: number): Promise<boolean>;
  /** A machine that slept has a lease that is older than it could know. */
  slept(): boolean;
  start(): void;
  /** The state here grows old from now on: call it when nothing is decided any more. Says so to the control plane, if it can. */
  close(): Promise<void>;
}

const SNAPSHOT_MS = 10_000;
const RENEW_MS = 1000;
/** What an answer may take: then it is asked again. */
const ANSWER_MS = 2000;
const CONFIRM_MS = 1000;
const LEAVE_MS = 1000;
const RETRY_MS = 200;
/** How long an event that a lease names may take over the open stream. */
const MISSING_MS = 500;
/** A timer of a second that comes this late: the process, or the machine, stood still. */
const STOOD_STILL_MS = 4000;

/**
 * Adds to `keys` those that the control plane names and whose thumbprints are pinned; a snapshot that none of them signed is
 * refused.
 *
 * @throws ControlError, FeedError
 */
export async function fetchSnapshot(
  client: ControlClient,
  node: string,
  keys: Map<string, Uint8Array>,
  pins: ReadonlySet<string> = new Set(),
): Promise<FeedSnapshot> {
  const { snapshot } = record(await client.get(`/snapshot?node=${node}`, SNAPSHOT_MS));
  const named = record(snapshot).keys;
  for (const key of Array.isArray(named) ? named : []) {
    const bytes = fromBase64url(String(record(key).x));
    if (bytes !== null && pins.has(thumbprint(bytes))) keys.set(thumbprint(bytes), bytes);
  }
  return readSnapshot(snapshot, keys);
}

/**
 * Keeps a node's state like the authority's: an open stream of events, a lease each second and after each event, a new
 * snapshot where the log is another one. Whatever fails is tried again; the lease's age says meanwhile how old the state is.
 */
export function createFollower(options: FollowerOptions): Follower {
  const {
    client,
    node,
    instance,
    version,
    bundles,
    gate,
    lease,
    keys,
    effects,
    onSnapshot,
    onState,
    onError,
  } = options;
  const waiting = new Set<() => void>();
  let stream: AbortController | null = null;
  let closed = false;
  let connected: boolean | null = null;
  let lastTick = lease.now().wall;
  let missingSince: number | null = null;
  let timer: NodeJS.Timeout | undefined;
  let renewing: Promise<boolean> | null = null;
  let next: Promise<boolean> | null = null;

  function hear(event: SignedEvent): void {
    const found = follow(gate.position, event);
    if (found === 'known') return;
    if (found !== 'next') {
      onError(new Error(`event ${event.epoch}/${event.seq} does not follow`), 'an event was refused');
      stream?.abort();
      return;
    }
    const key = nextKey(event, keys);
    const trusted = key === null ? keys : new Map([...keys, [key.kid, key.key]]);
    verifyEvent(event, trusted);
    if (key !== null) keys.set(key.kid, key.key);
    applyEvent(event, gate, {
      bundle: effects.bundle,
      key(change) {
        if (change.to === 'retired') keys.delete(change.kid);
        effects.key(change);
      },
    });
    for (const wake of waiting) wake();
    void renew();
  }

  function heard(event: SignedEvent): void {
    try {
      hear(event);
    } catch (error) {
      onError(error, 'an event was refused');
      stream?.abort();
    }
  }

  function hint(event: SignedEvent): void {
    if (follow(gate.position, event) !== 'next') return;
    try {
      hear(event);
    } catch (error) {
      onError(error, 'an event was refused');
    }
  }

  function say(now: boolean, why: string): void {
    if (connected !== now) onState(now, why);
    connected = now;
  }

  async function ask(): Promise<boolean> {
    const nonce = toBase64url(randomBytes(16));
    const sent = lease.now();
    try {
      const question = { node, instance, nonce, ...gate.position, version, bundles: bundles() };
      const answer = await client.post('/lease', question, ANSWER_MS);
      lease.renew(readLease(record(answer).lease, { node, nonce }, keys), sent);
      say(true, 'the control plane answers');
      return true;
    } catch (error) {
      say(false, error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  /** One question at a time; who comes while one is under way shares the one after it. */
  function renew(): Promise<boolean> {
    if (renewing === null) {
      renewing = ask().finally(() => {
        renewing = null;
      });
      return renewing;
    }
    next ??= renewing.then(() => {
      next = null;
      return renew();
    });
    return next;
  }

  function applied(seq: number, ms: number): Promise<boolean> {
    return within(() => gate.position.seq >= seq, ms);
  }

  function within(look: () => boolean, ms: number): Promise<boolean> {
    if (look()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (done: boolean) => {
        clearTimeout(late);
        waiting.delete(wake);
        resolve(done);
      };
      const wake = () => {
        if (look()) end(true);
      };
      const late = setTimeout(end, ms, false);
      waiting.add(wake);
    });
  }

  async function confirm(): Promise<boolean> {
    const asked = lease.now().steady;
    const done = () => lease.confirmedSince(asked, gate.position);
    void renew().then(() => {
      for (const wake of waiting) wake();
    });
    return within(done, CONFIRM_MS);
  }

  async function listen(): Promise<void> {
    while (!closed) {
      const own = new AbortController();
      stream = own;
      try {
        await client.events(gate.position, heard, () => void renew(), own.signal);
      } catch (error) {
        if (error instanceof ControlError && error.code === 'moved') await anew();
      }
      if (!closed) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** The authority's log is another one: what it says counts, but nothing comes back to life. */
  async function anew(): Promise<void> {
    try {
      const snapshot = await fetchSnapshot(client, node, keys);
      // The event that retired a key may be none of this log's.
      const named = new Set(snapshot.keys.map(({ kid }) => kid));
      for (const kid of keys.keys()) if (!named.has(kid)) keys.delete(kid);
      gate.replace({ ...snapshot, position: snapshot, fencedAt: snapshot.fenced_at });
      onSnapshot(snapshot);
      await renew();
    } catch (error) {
      onError(error, 'the state cannot be taken anew');
    }
  }

  /** A lease names what has not come: the stream is dead, whatever it looks like. */
  function lookForMissing(): void {
    const wanted = lease.wanted();
    const { epoch, seq } = gate.position;
    const missing = wanted !== null && (wanted.epoch !== epoch || wanted.seq > seq);
    const now = lease.now().steady;
    if (!missing) missingSince = null;
    else if (missingSince === null) missingSince = now;
    else if (now - missingSince > MISSING_MS) {
      missingSince = null;
      stream?.abort();
    }
  }

  function tick(): void {
    if (closed) return;
    void renew().then(() => {
      // Only now: whoever decides before the answer is here must know that this node slept.
      lastTick = lease.now().wall;
      lookForMissing();
    });
    timer = setTimeout(tick, RENEW_MS);
  }

  return {
    hear: heard,
    hint,
    confirm,
    applied,
    slept: () => {
      const still = lease.now().wall - lastTick;
      return connected === true && still > STOOD_STILL_MS;
    },
    start() {
      void listen();
      tick();
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      stream?.abort();
      // Unsaid, a stop waits for the end of the lease.
      await client.post('/leave', { node, instance }, LEAVE_MS).catch(() => undefined);
    },
  };
}
