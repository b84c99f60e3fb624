import type { Copied } from './backup.ts';
import type { WireError } from './errors.ts';
import type {
  BackupMark,
  BundleInfo,
  Checkpoint,
  Committed,
  CountRange,
  DocumentPage,
  EventPlace,
  FollowedRecords,
  LogEnd,
  NewBundle,
  NewDocument,
  Pruning,
  RecordBatch,
  RecordCounts,
  RecordQuery,
  RecordStream,
  Runtime,
  Snapshot,
  StoredDocument,
  StoredEvent,
  StoreEvent,
  StoreSize,
  StoreStats,
  Tenant,
  Within,
} from './model.ts';
import type { Prunable } from './pruning.ts';
import type { FollowFilters, Place, QueryStep } from './query.ts';

/** What the client may ask of the worker, and what it answers. */
export interface Calls {
  readonly event: Call<StoreEvent, EventPlace>;
  readonly commit: Call<{ readonly batch: RecordBatch; readonly now: number }, Committed>;
  readonly putBundle: Call<NewBundle, void>;
  readonly putCheckpoint: Call<Checkpoint, void>;
  readonly putPruning: Call<Pruning, void>;
  readonly removePruned: Call<{ readonly node: string; readonly limit: number }, number>;
  readonly logEnd: Call<null, LogEnd>;
  readonly prunable: Call<{ readonly node: string; readonly before: number | null }, Prunable | null>;
  readonly size: Call<null, StoreSize>;
  readonly load: Call<{ readonly now: number }, Snapshot>;
  readonly runtimes: Call<
    { readonly tenant: Tenant; readonly after: string; readonly limit: number },
    Runtime[]
  >;
  readonly eventsAfter: Call<{ readonly after: number; readonly limit: number }, StoredEvent[]>;
  readonly eventsAround: Call<
    { readonly tenant: Tenant; readonly runtime_id: string; readonly time: number; readonly each: number },
    StoredEvent[]
  >;
  readonly query: Call<
    { readonly query: Omit<RecordQuery, 'cursor'>; readonly from: Place | null },
    QueryStep
  >;
  readonly recordById: Call<{ readonly decision_id: string; readonly within: Within }, string[]>;
  readonly stream: Call<
    { readonly within: Within; readonly after: number; readonly limit: number; readonly whole: boolean },
    RecordStream
  >;
  readonly follow: Call<
    {
      readonly within: Within;
      readonly filters: FollowFilters;
      readonly after: number;
      readonly limit: number;
    },
    FollowedRecords
  >;
  readonly count: Call<{ readonly tenant: Tenant; readonly range: CountRange }, RecordCounts>;
  readonly checkpoints: Call<
    {
      readonly node: string | null;
      readonly after: Pick<Checkpoint, 'node' | 'seq'>;
      readonly limit: number;
    },
    Checkpoint[]
  >;
  readonly getBundle: Call<{ readonly sha256: string }, (BundleInfo & NewBundle) | null>;
  readonly bundles: Call<null, BundleInfo[]>;
  readonly putDocument: Call<{ readonly document: NewDocument; readonly now: number }, number>;
  readonly removeDocument: Call<
    { readonly kind: string; readonly id: string; readonly version: number; readonly now: number },
    void
  >;
  readonly getDocument: Call<
    { readonly kind: string; readonly id: string; readonly now: number },
    StoredDocument | null
  >;
  readonly documents: Call<
    {
      readonly kind: string;
      readonly tenant: Tenant;
      readonly after: string;
      readonly limit: number;
      readonly now: number;
    },
    DocumentPage
  >;
  readonly stats: Call<null, StoreStats>;
  readonly limit: Call<{ readonly maxBytes: number | null }, void>;
  readonly seal: Call<{ readonly mark: BackupMark; readonly checkpoints: readonly Checkpoint[] }, void>;
  /** Answered when the copy is done; other requests are served meanwhile. */
  readonly copy: Call<{ readonly path: string }, Copied>;
  readonly close: Call<null, void>;
}

interface Call<A, R> {
  readonly args: A;
  readonly result: R;
}

export type Kind = keyof Calls;
export type Args<K extends Kind> = Calls[K]['args'];
export type Result<K extends Kind> = Calls[K]['result'];

/** Requests that change the database, and so share a transaction. */
const WRITE_KINDS = [
  'event',
  'commit',
  'putBundle',
  'putCheckpoint',
  'putPruning',
  'removePruned',
  'putDocument',
  'removeDocument',
] as const satisfies readonly Kind[];
export type WriteKind = (typeof WRITE_KINDS)[number];
/** Requests that are answered later than those that came with them. */
export type SlowKind = 'copy';
export type OtherKind = Exclude<Kind, WriteKind | SlowKind>;

const WRITES: ReadonlySet<Kind> = new Set(WRITE_KINDS);

export function isWriteKind(kind: Kind): kind is WriteKind {
  return WRITES.has(kind);
}

export type Handlers<K extends Kind> = { readonly [T in K]: (args: Args<T>) => Result<T> };

type RequestOf<K extends Kind> = {
  readonly [T in K]: { readonly id: number; readonly kind: T; readonly args: Args<T> };
}[K];
export type Request = RequestOf<Kind>;
export type WriteRequest = RequestOf<WriteKind>;
export type SlowRequest = RequestOf<SlowKind>;

export type Answer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: WireError };

/** `ready` comes once, first, with an error where the database cannot be opened; then answers, a group in one message. */
export type Message =
  | { readonly type: 'ready'; readonly error: WireError | null }
  | { readonly type: 'answers'; readonly answers: readonly Answer[] };

export interface WorkerOptions {
  readonly path: string;
  readonly maxBytes: number | null;
  /** Milliseconds: the birth time of a database that this opening creates. */
  readonly now: number;
}
