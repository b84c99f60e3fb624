import type { KeyUse, Profile } from '../schema/common.ts';
import type { SpentNonce, Verdict } from '../schema/decision.ts';

/** What the store keeps. Times are milliseconds since 1970 unless a member says seconds. */

export interface Tenant {
  readonly org: string;
  readonly env: string;
}

/** A tenant's own, or everything there is (a platform operator's export; never a default). */
export type Within = Tenant | 'any';

const RUNTIME_STATUSES = ['active', 'inactive', 'killed'] as const;
export type RuntimeStatus = (typeof RUNTIME_STATUSES)[number];

/** Who a runtime is, as it was registered. `keys`: thumbprints that it may use, null for any. */
export interface Registration {
  readonly runtime_id: string;
  readonly agent_id: string;
  readonly workspace_id: string;
  readonly profile: Profile;
  readonly subject: string;
  readonly keys: readonly string[] | null;
}

/** A runtime that was killed and came back: what was bound to it before stays dead. `at` in milliseconds. */
export interface Revival {
  /** The least taint epoch that a binding must name. */
  readonly taint_epoch: number;
  readonly at: number;
}

/** What changes about a runtime while it lives. */
export interface RuntimeState extends Tenant {
  readonly runtime_id: string;
  readonly status: RuntimeStatus;
  readonly taint_epoch: number;
  /** Absent: it never was killed, or is so for good. */
  readonly revived?: Revival;
}

export interface Runtime extends Registration, RuntimeState {
  readonly registered_at: number;
}

/** A lemma id, an issuer or key thumbprint, or a subject, that no longer counts in that org and env. */
export interface Revocation extends Tenant {
  readonly kind: 'lemma' | 'key' | 'subject';
  readonly value: string;
}

/** More that an event wants to tell: by whom, why, a signature. Kept as it is, without effect. */
type Extra = { readonly [member: string]: unknown };

interface Payloads {
  readonly register: Registration & { readonly taint_epoch?: number } & Extra;
  readonly kill: { readonly runtime_id: string } & Extra;
  readonly revoke: { readonly kind: Revocation['kind']; readonly value: string } & Extra;
  readonly taint: { readonly runtime_id: string; readonly taint_epoch: number } & Extra;
  readonly status: { readonly runtime_id: string; readonly status: 'active' | 'inactive' } & Extra;
  readonly reactivate: { readonly runtime_id: string; readonly taint_epoch: number } & Extra;
  readonly admin: { readonly action: string; readonly runtime_id?: string } & Extra;
  readonly bundle: { readonly sha256: string } & Extra;
  readonly key: { readonly change?: KeyChange } & Extra;
  readonly configured: {
    readonly runtimes: readonly Omit<Runtime, 'org' | 'env'>[];
    readonly withdrawn: readonly string[];
  } & Extra;
  readonly restore: { readonly taken_at: number } & Extra;
}

/** `current`: the one of its use that signs; what was it before is `previous`. `retired` is for ever. */
export interface KeyChange {
  readonly use: KeyUse;
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  /** The public key, base64url. */
  readonly x: string;
  readonly to: 'current' | 'retired';
  /** What the key that signs now says of others of its use, as they are after this change. */
  readonly endorse?: readonly { readonly kid: string; readonly signature: string }[];
  /** By the key that signed until now (src/feed/handover.ts); absent where there was none. */
  readonly handover?: string;
}

/** A public key that signed, or signs, for this deployment. `until`: when it stopped signing, or was retired. */
export interface SigningKey extends Pick<KeyChange, 'use' | 'kid' | 'x'> {
  readonly status: 'current' | 'previous' | 'retired';
  readonly since: number;
  readonly until: number | null;
  /** By the current key of its use (src/authority/endorse.ts); null for that one itself. */
  readonly endorsement: string | null;
}

/**
 * One entry of the ordered log (architecture.md, "Freshness and kill"), before it has its number.
 *
 * Its effect, in the same transaction: `register` adds the runtime (identical data again: no new event; other data, or
 * a killed runtime: `StoreConflict`). `kill` is for ever. `taint` raises, never lowers. `status` fails on a killed
 * runtime. `kill`, `taint` and `status` also hold for a runtime that is not registered here (it may be
 * registered by file). `reactivate` makes a killed runtime active again under a higher taint epoch, with a fence before
 * it (`Revival`); one that is not killed, or no higher epoch: `StoreConflict`. `admin` is remembered: what an operator did
 * that changes no runtime. `bundle` activates a stored bundle. `key` is remembered, and with a `change` keeps the history of
 * public keys (a retired key: `StoreConflict`). `configured` is remembered: what the
 * configuration registers of a tenant's runtimes, and does no more. `restore`: the store is an older state, and its epoch a new one.
 */
export type StoreEvent = {
  [T in keyof Payloads]: Tenant & { readonly type: T; readonly payload: Payloads[T]; readonly time: number };
}[keyof Payloads];
export type EventType = keyof Payloads;

/** Place in the event log. `epoch` is the birth time of the database: a later one is another log. */
export interface EventPlace {
  readonly epoch: number;
  readonly seq: number;
}

export interface StoredEvent extends EventPlace, Tenant {
  readonly time: number;
  readonly type: EventType;
  /** Null where the event is not about one runtime. */
  readonly runtime_id: string | null;
  readonly payload: Extra;
}

/** Operations spent of a lemma's budget. `lemma_id`: with its tenant (src/gate/budget.ts). `expires_at` in seconds: the lemma's own. */
export interface BudgetUse {
  readonly lemma_id: string;
  readonly used_delta: number;
  readonly expires_at: number;
}

export interface BudgetState {
  readonly lemma_id: string;
  readonly used: number;
  readonly expires_at: number;
}

/** What records are found by. */
export interface RecordIndex extends Tenant {
  readonly decision_id: string;
  readonly time: number;
  readonly runtime_id: string | null;
  readonly agent_id: string | null;
  readonly workspace_id: string | null;
  readonly subject: string | null;
  readonly verdict: Verdict;
  readonly reason: string;
  readonly route: string | null;
}

/** A record to commit. `members`: the text of its JSON members, without braces, `seq`, `prev` and `hash`. */
export interface NewRecord extends RecordIndex {
  readonly members: string;
  readonly nonce: SpentNonce | null;
  readonly budget: readonly BudgetUse[];
}

/** Records of one node, in order. `lost`: how many were lost before the first of them. */
export interface RecordBatch {
  readonly node: string;
  readonly lost: number;
  readonly records: readonly NewRecord[];
}

export interface ChainHead {
  readonly node: string;
  readonly seq: number;
  readonly hash: string;
}

/**
 * What became of a batch: per record its `seq`, or null where its nonce had been spent before (the record is then not
 * written), and the head of the chain after it (null: the node has no record yet).
 */
export interface Committed {
  readonly seqs: readonly (number | null)[];
  readonly head: ChainHead | null;
}

/** A signed statement that a node's chain had this hash at this record. `time` in milliseconds. */
export interface Checkpoint {
  readonly v: 1;
  readonly node: string;
  readonly seq: number;
  readonly hash: string;
  readonly time: number;
  readonly keyid: string;
  readonly signature: string;
}

/**
 * A signed statement that the records of a node up to `seq` were pruned: its chain goes on from `hash`. A later one
 * takes the place of the one before. `time` in milliseconds.
 */
export type Pruning = Checkpoint;

/** Where a node's chain ends, and its latest checkpoint (null: none). */
export interface ChainEnd extends ChainHead {
  readonly checkpoint: number | null;
}

/** The log at one moment: its last position, each chain's end (seq 0: only traces of it are left), what was pruned. */
export interface LogEnd {
  readonly position: number;
  readonly chains: readonly ChainEnd[];
  readonly prunings: readonly Pruning[];
}

/** What a copy says of itself, so that nobody takes it for the store. `taken_at` in milliseconds. */
export interface BackupMark extends Tenant {
  readonly v: 1;
  readonly taken_at: number;
}

/** How full the database is. `used` and `limit` in bytes; free pages within the file are not used. Null: no limit. */
export interface StoreSize {
  readonly used: number;
  readonly limit: number | null;
}

/** `since` inclusive, `until` exclusive. `cursor` is a `next_cursor`; `limit` 1 to 1000. */
export interface RecordQuery extends Tenant {
  readonly runtime_id?: string;
  readonly agent_id?: string;
  readonly workspace_id?: string;
  readonly subject?: string;
  readonly verdict?: Verdict;
  readonly reason?: string;
  readonly route?: string;
  readonly since?: number;
  readonly until?: number;
  /** Positions in the order of commit: after this one, up to that one. */
  readonly after?: number;
  readonly up_to?: number;
  readonly cursor?: string;
  readonly limit: number;
  readonly order: 'asc' | 'desc';
}

/** Exact stored lines. A null `next_cursor` means that there are no more. */
export interface RecordPage {
  readonly lines: string[];
  readonly next_cursor: string | null;
}

/** `line` is the stored one, or, of a record that is withheld, where it stands in the chain (src/store/withheld.ts). */
export interface StreamedRecord {
  readonly position: number;
  readonly node: string;
  readonly seq: number;
  readonly line: string;
}

/** Lines in the order of commit. `next`: the position to go on from, also where the page is empty. */
export interface RecordStream {
  readonly records: readonly StreamedRecord[];
  readonly next: number;
  readonly done: boolean;
}

/** A record with what it is found by. */
export interface FollowedRecord extends RecordIndex {
  readonly position: number;
  readonly node: string;
  readonly seq: number;
  readonly line: string;
}

/** As `RecordStream`. */
export interface FollowedRecords {
  readonly records: readonly FollowedRecord[];
  readonly next: number;
  readonly done: boolean;
}

/** Milliseconds, `until` exclusive; of the records up to a position, and no more than `entries`. */
export interface CountRange {
  readonly since: number;
  readonly until: number;
  readonly upTo: number;
  readonly entries: number;
}

/** `whole`: false where there may be more than `entries`. */
export interface RecordCounts {
  readonly counts: readonly {
    readonly verdict: Verdict;
    readonly reason: string;
    readonly runtime_id: string | null;
    readonly count: number;
  }[];
  readonly whole: boolean;
}

export interface BundleInfo {
  readonly sha256: string;
  readonly name: string;
  readonly revision: string;
  readonly serial: number;
  /** Null: never activated. */
  readonly activated_at: number | null;
  /** The one of its name that was activated last. */
  readonly active: boolean;
}

export interface NewBundle {
  readonly sha256: string;
  readonly name: string;
  readonly revision: string;
  readonly serial: number;
  readonly files: Uint8Array;
}

/**
 * What the control plane keeps about its own: operators, sessions, API keys, settings. `id` is unique within `kind`,
 * whatever the tenant. `expires_at` in milliseconds: from then on it is not there. No secret stands in one: digests do.
 */
export interface StoredDocument extends Tenant {
  readonly kind: string;
  readonly id: string;
  /** Counts its writes, from 1. */
  readonly version: number;
  readonly expires_at: number | null;
  readonly body: unknown;
}

/** `version`: the one that it replaces; 0: there is none yet. */
export type NewDocument = StoredDocument;

export interface DocumentPage {
  readonly documents: readonly StoredDocument[];
  readonly next_cursor: string | null;
}

/** Everything that the gate needs at start. */
export interface Snapshot {
  readonly store_id: string;
  /** When this database was created: what happened before, it cannot know. */
  readonly birth: number;
  /** When this state was restored from a backup; what happened between the two, it cannot know. Null: it never was. */
  readonly fenced_at: number | null;
  readonly last: EventPlace;
  readonly runtimes: readonly Runtime[];
  /** States of runtimes that are not registered here. */
  readonly unregistered: readonly RuntimeState[];
  readonly revocations: readonly Revocation[];
  readonly nonces: readonly SpentNonce[];
  readonly budgets: readonly BudgetState[];
  readonly chains: readonly ChainHead[];
  readonly signing_keys: readonly SigningKey[];
  /** The latest time that any record carries; 0 where there is none. */
  readonly latest_record: number;
  readonly bundles: readonly BundleInfo[];
}

/** Counts since the store was opened. */
export interface StoreStats {
  readonly transactions: number;
  readonly failed: number;
  /** Write requests, several of which share a transaction. */
  readonly writes: number;
}
