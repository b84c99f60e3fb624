import { Denial, type ReasonCode } from '../reason.ts';
import type { SpentNonce } from '../schema/decision.ts';
import type { Lemma, RuntimeLemma } from '../schema/lemma.ts';
import { type BudgetLine, type Budgets, countedBy, createBudgets, type Reservation } from './budget.ts';
import type { LeaseHolder } from './lease.ts';
import { createReplayGuard, type ReplayGuard } from './replay.ts';
import type { LiveRuntime, Revocation } from './runtimes.ts';

export type BoundLink = Pick<Lemma, 'id' | 'issuer' | 'issued_at' | 'not_before' | 'expires_at'>;

/** What the gate must know of a verified chain (structurally, proof's VerifiedChain). */
export interface Bound {
  readonly links: readonly BoundLink[];
  readonly keyids: readonly string[];
  /** One of the links. */
  readonly runtime: BoundLink &
    Pick<RuntimeLemma, 'subject'> & {
      readonly claims: Pick<
        RuntimeLemma['claims'],
        'runtime_id' | 'agent_id' | 'workspace_id' | 'taint_epoch'
      >;
    };
  readonly root: { readonly claims: { readonly org: string; readonly env: string } };
  /** The legacy token that vouches for it: revoked by its id, or with the key that signed it. */
  readonly token?: { readonly id: string; readonly issuer: string };
}

export interface Freshness {
  readonly age_ms: number;
  readonly source: 'local' | 'lease';
  readonly confirmed: boolean;
  readonly epoch: number;
  readonly seq: number;
}

/** What the store remembers, at start. `memoryLostAt` in seconds. */
export interface GateState {
  readonly runtimes: readonly LiveRuntime[];
  readonly revocations: readonly Revocation[];
  readonly nonces: readonly SpentNonce[];
  readonly budgets: readonly {
    readonly lemma_id: string;
    readonly used: number;
    readonly expires_at: number;
  }[];
  readonly position: { readonly epoch: number; readonly seq: number };
  readonly memoryLostAt: number | null;
  /** Seconds: the state is that of a backup, restored then. What was issued until then does not count. Null, or absent: it is not. */
  readonly fencedAt?: number | null;
  /** The latest time that any record carries, milliseconds; 0 when there is none. */
  readonly latestRecord: number;
}

export interface GateOptions {
  /** Nonces kept at most. */
  readonly nonceLimit?: number;
  /** Where the authority is another process: what it last said about this node's state. Absent: the store here is the authority. */
  readonly lease?: LeaseHolder;
}

/** What a node is given anew when the authority's log is another one. */
export type GateReplacement = Pick<GateState, 'runtimes' | 'revocations' | 'position' | 'fencedAt'>;

/** How far back the clock may step, milliseconds, before nothing that depends on time can be trusted. */
const CLOCK_STEP_BACK = 30_000;
/** How far a node's wall clock may be from the authority's: proofs may be made that far ahead, no farther. */
const CLOCK_SKEW = 30_000;
/** What JSON can say of an age that has no end. */
const NEVER = Number.MAX_SAFE_INTEGER;

/**
 * The live state of runtimes, in memory, rebuilt from the store at start: until `load`, every check is
 * `state_not_ready`. Where the store in this process is the authority, freshness is local; else it is the lease's.
 */
export interface Gate {
  readonly ready: boolean;
  load(state: GateState): void;
  /** Another log's state takes the place of this one; what was killed, revoked or tainted stays so. */
  replace(state: GateReplacement): void;
  /** The log was followed up to here. */
  advance(position: { epoch: number; seq: number }): void;
  /** Tells whenever a runtime or a revocation is another than before, as soon as that is in force. Gives what ends it. */
  changed(listener: () => void): () => void;
  readonly position: { readonly epoch: number; readonly seq: number };
  /** Step 13 up to `revoked`: the runtime that acts. Throws state_not_ready, clock_untrusted, runtime_unknown, runtime_killed, runtime_inactive, revoked, freshness_stale (its lease has ended). */
  admit(chain: Bound, nowMs: number): LiveRuntime;
  /** Step 13, `replay_detected`. `now` in seconds. */
  spend(nonce: SpentNonce, now: number): void;
  reserve(lines: readonly BudgetLine[], now: number): Reservation | null;
  freshness(): Freshness;
  /** The last look, right before the answer: kill or revocation that came meanwhile, a lease that ended. */
  stopped(chain: Bound): ReasonCode | null;
  runtime(org: string, env: string, runtimeId: string): LiveRuntime | null;
  runtimes(): IterableIterator<LiveRuntime>;
  revocations(): IterableIterator<Revocation>;
  /** Seconds: what was issued until then does not count. Null: the state is no restored one. */
  readonly fencedAt: number | null;
  putRuntime(runtime: LiveRuntime, position?: { epoch: number; seq: number }): void;
  /** Whether a lemma id, key or subject was taken back there. */
  revoked(org: string, env: string, value: string): boolean;
  /** Operations counted under a lemma so far. */
  budgetUsed(org: string, env: string, lemmaId: string): number;
  revoke(revocation: Revocation, position?: { epoch: number; seq: number }): void;
  readonly nonces: number;
}

export function createGate(options: GateOptions = {}): Gate {
  const runtimes = new Map<string, LiveRuntime>();
  const revoked = new Map<string, Revocation>();
  let replay: ReplayGuard | null = null;
  let budgets: Budgets = createBudgets();
  let position = { epoch: 0, seq: 0 };
  let latest = 0;
  let fencedAt: number | null = null;

  const listeners = new Set<() => void>();
  const tell = () => {
    for (const listener of listeners) listener();
  };

  const { lease } = options;

  /** Within one log never backwards: answers of the store may overtake each other. */
  const advance = (at: { epoch: number; seq: number } | undefined) => {
    if (at !== undefined && (at.epoch !== position.epoch || at.seq > position.seq)) position = placeOf(at);
  };

  const put = (runtime: LiveRuntime) => {
    const id = key(runtime.org, runtime.env, runtime.runtime_id);
    const before = runtimes.get(id);
    // Monotonic: an old message can't bring a runtime back, nor an epoch down. Only a revival that is new does.
    const revives = (runtime.revived?.taint_epoch ?? 0) > (before?.revived?.taint_epoch ?? 0);
    const status = before?.status === 'killed' && !revives ? 'killed' : runtime.status;
    const revived = revives ? runtime.revived : before?.revived;
    const taint_epoch = Math.max(before?.taint_epoch ?? 0, runtime.taint_epoch);
    const { revived: _, ...rest } = runtime;
    runtimes.set(id, { ...rest, status, taint_epoch, ...(revived === undefined ? {} : { revived }) });
  };

  const age = () => {
    const ms = Math.ceil(lease?.age(position) ?? 0);
    return Number.isFinite(ms) ? ms : NEVER;
  };

  const lookUp = (chain: Bound) => runtimes.get(keysOf(chain).runtime);

  const revokedValue = (chain: Bound): string | null =>
    keysOf(chain).revocable.find(({ key }) => revoked.has(key))?.value ?? null;

  return {
    get ready() {
      return replay !== null;
    },
    load(state) {
      for (const runtime of state.runtimes)
        runtimes.set(key(runtime.org, runtime.env, runtime.runtime_id), runtime);
      for (const r of state.revocations) revoked.set(key(r.org, r.env, r.value), r);
      budgets = createBudgets();
      for (const b of state.budgets) budgets.restore(b.lemma_id, b.used, b.expires_at);
      position = placeOf(state.position);
      latest = state.latestRecord;
      fencedAt = state.fencedAt ?? null;
      const guard = createReplayGuard({
        limit: options.nonceLimit ?? 500_000,
        memoryLostAt: state.memoryLostAt,
      });
      for (const nonce of state.nonces) guard.restore(nonce);
      replay = guard;
    },
    admit(chain, nowMs) {
      if (replay === null) throw new Denial('state_not_ready', 'the state is not loaded yet');
      if (nowMs < latest - CLOCK_STEP_BACK) {
        throw new Denial('clock_untrusted', `the clock went back ${latest - nowMs} ms`, {
          now: nowMs,
          latest,
        });
      }
      latest = Math.max(latest, nowMs);
      const skew = Math.round(lease?.skew() ?? 0);
      if (Math.abs(skew) > CLOCK_SKEW)
        throw new Denial('clock_untrusted', `the clock is ${skew} ms from the authority's`, {
          skew_ms: skew,
        });
      const runtime = lookUp(chain);
      const unlike = runtime === undefined ? 'registration' : mismatch(runtime, chain);
      const facts = { runtime_id: chain.runtime.claims.runtime_id, ...chain.root.claims };
      if (runtime === undefined || unlike !== null) {
        throw new Denial('runtime_unknown', `no such ${unlike}`, { ...facts, unlike });
      }
      if (runtime.status === 'killed') throw new Denial('runtime_killed', 'the runtime was killed', facts);
      if (beforeRevival(runtime, chain)) {
        throw new Denial(
          'runtime_killed',
          'the proof was bound before the runtime was killed and came back',
          facts,
        );
      }
      if (runtime.status === 'inactive')
        throw new Denial('runtime_inactive', 'the runtime is contained', facts);
      const value = revokedValue(chain);
      if (value !== null) throw new Denial('revoked', `${value} was revoked`, { ...facts, value });
      const fenced = fencedLink(chain, fencedAt);
      if (fenced !== null) {
        // Whether it was revoked, killed or spent in the meantime, nobody here can say.
        throw new Denial('revoked', 'it was issued before the state was restored from a backup', {
          ...facts,
          value: fenced.id,
          issued_at: fenced.issued_at,
          restored_at: fencedAt,
        });
      }
      if (lease?.ended(position) === true) {
        throw new Denial('freshness_stale', 'the lease of this node has ended: it may have missed a kill', {
          ...facts,
          age_ms: age(),
        });
      }
      return runtime;
    },
    spend(nonce, now) {
      if (replay === null) throw new Denial('state_not_ready', 'the state is not loaded yet');
      replay.spend(nonce, now);
    },
    reserve: (lines, now) => budgets.reserve(lines, now),
    freshness: () =>
      lease === undefined
        ? { age_ms: 0, source: 'local', confirmed: true, ...position }
        : { age_ms: age(), source: 'lease', confirmed: false, ...position },
    stopped(chain) {
      if (lease?.ended(position) === true) return 'freshness_stale';
      const runtime = lookUp(chain);
      if (runtime?.status === 'killed') return 'runtime_killed';
      if (runtime !== undefined && beforeRevival(runtime, chain)) return 'runtime_killed';
      return revokedValue(chain) === null ? null : 'revoked';
    },
    runtime: (org, env, runtimeId) => runtimes.get(key(org, env, runtimeId)) ?? null,
    runtimes: () => runtimes.values(),
    revocations: () => revoked.values(),
    get fencedAt() {
      return fencedAt;
    },
    putRuntime(runtime, at) {
      put(runtime);
      advance(at);
      tell();
    },
    revoked: (org, env, value) => revoked.has(key(org, env, value)),
    budgetUsed: (org, env, lemmaId) => budgets.used(countedBy({ org, env, lemmaId })),
    revoke(revocation, at) {
      revoked.set(key(revocation.org, revocation.env, revocation.value), revocation);
      advance(at);
      tell();
    },
    replace(state) {
      const listed = new Set(state.runtimes.map((r) => key(r.org, r.env, r.runtime_id)));
      for (const runtime of state.runtimes) put(runtime);
      // Not forgotten: registered again, it has the taint epoch that it had come to.
      for (const [id, runtime] of runtimes)
        if (!listed.has(id) && runtime.status === 'active')
          runtimes.set(id, { ...runtime, status: 'inactive' });
      for (const r of state.revocations) revoked.set(key(r.org, r.env, r.value), r);
      fencedAt = Math.max(fencedAt ?? 0, state.fencedAt ?? 0) || null;
      position = placeOf(state.position);
      tell();
    },
    advance,
    changed(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    get position() {
      return position;
    },
    get nonces() {
      return replay?.size ?? 0;
    },
  };
}

/** Of whatever names a place, that alone: a snapshot's other members are no part of a question, nor of a record. */
function placeOf({ epoch, seq }: { epoch: number; seq: number }): { epoch: number; seq: number } {
  return { epoch, seq };
}

function key(org: string, env: string, id: string): string {
  return `${org} ${env} ${id}`;
}

interface Keys {
  readonly runtime: string;
  /** Each with the value that a revocation would name. */
  readonly revocable: readonly { readonly key: string; readonly value: string }[];
}

/** Of chains that are presented again and again, for as long as somebody keeps them. */
const known = new WeakMap<Bound, Keys>();

/** What a chain is looked up by. */
function keysOf(chain: Bound): Keys {
  const found = known.get(chain);
  if (found !== undefined) return found;
  const { org, env } = chain.root.claims;
  const { subject } = chain.runtime;
  const vouched = chain.token === undefined ? [] : [chain.token.id, chain.token.issuer];
  const own = chain.links.flatMap((link) => [link.id, link.issuer]);
  const values = [...own, ...chain.keyids, ...vouched, subject];
  const keys = {
    runtime: key(org, env, chain.runtime.claims.runtime_id),
    revocable: values.map((value) => ({ key: key(org, env, value), value })),
  };
  known.set(chain, keys);
  return keys;
}

function fencedLink(chain: Bound, fencedAt: number | null): BoundLink | null {
  return fencedAt === null ? null : (chain.links.find(({ issued_at }) => issued_at <= fencedAt) ?? null);
}

/** A binding of a life before: its epoch, or its time, is one of then. */
function beforeRevival({ revived }: LiveRuntime, { runtime }: Bound): boolean {
  if (revived === undefined) return false;
  return (
    runtime.claims.taint_epoch < revived.taint_epoch || runtime.issued_at < Math.floor(revived.at / 1000)
  );
}

/** What of a registration the chain does not meet, or null. */
function mismatch(runtime: LiveRuntime, chain: Bound): string | null {
  const { claims } = chain.runtime;
  if (runtime.subject !== chain.runtime.subject) return 'subject';
  if (runtime.agent_id !== claims.agent_id) return 'agent_id';
  if (runtime.workspace_id !== claims.workspace_id) return 'workspace_id';
  const keyid = chain.keyids[chain.links.indexOf(chain.runtime)];
  if (runtime.keys !== null && (keyid === undefined || !runtime.keys.includes(keyid))) return 'key';
  return null;
}
