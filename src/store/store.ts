import { extname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { InputError } from '../reason.ts';
import type { Copied } from './backup.ts';
import { fromWire, messageOf, StoreClosedError, StoreWriteError } from './errors.ts';
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
  RecordPage,
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
import {
  type Answer,
  type Args,
  isWriteKind,
  type Kind,
  type Message,
  type Result,
  type WorkerOptions,
} from './protocol.ts';
import type { Prunable } from './pruning.ts';
import type { FollowFilters, Place } from './query.ts';

export interface StoreOptions {
  /** Path of the database file; its folder is made (0700) where it is missing. */
  readonly path: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** The file's size at most, in bytes (its WAL may take some MB more); then records fail with `SQLITE_FULL` until there is room. Null: no limit. */
  readonly maxBytes?: number | null;
}

/** Whether the last write succeeded; `error` says why it did not. */
export interface StoreHealth {
  readonly writable: boolean;
  readonly error: string | null;
}

/**
 * Durable state: in one SQLite file, used by one process, or in PostgreSQL (src/store/postgres). What has queued up is written
 * in one synchronous commit (SQLite: by a worker thread); what has resolved survives `kill -9` and a power cut.
 *
 * Writes reject with `StoreWriteError` (nothing was kept; the next may succeed) or `StoreConflict`, reads with
 * `StoreReadError`, all with `StoreClosedError` after `close`.
 */
export interface Store {
  load(): Promise<Snapshot>;
  appendEvent(event: StoreEvent): Promise<EventPlace>;
  commitRecords(batch: RecordBatch): Promise<Committed>;
  /** Throws `InputError` for a bad cursor or limit. */
  queryRecords(query: RecordQuery): Promise<RecordPage>;
  /** Lines of one decision, the verdict last; empty where `within` has no such decision. */
  recordById(decisionId: string, within: Within): Promise<string[]>;
  /**
   * Up to `limit` lines in the order of commit after a position (0: from the start). `whole` (false): with a place-holder
   * for each record of another tenant, so that the chain can be followed.
   */
  streamRecords(within: Within, after: number, limit: number, whole?: boolean): Promise<RecordStream>;
  /** As `streamRecords`, of those that pass the filters, with what they are found by. */
  followRecords(
    within: Within,
    filters: FollowFilters,
    after: number,
    limit: number,
  ): Promise<FollowedRecords>;
  /** Counts a tenant's records of a span of time, `entries` of them at most. */
  countRecords(tenant: Tenant, range: CountRange): Promise<RecordCounts>;
  logEnd(): Promise<LogEnd>;
  /** A node's checkpoints after a record, by record, `limit` at most. */
  checkpointsAfter(node: string, seq: number, limit: number): Promise<Checkpoint[]>;
  /** The span of a node's log that may go next: all of it from before `before` (ms; null: of any age). */
  prunable(node: string, before: number | null): Promise<Prunable | null>;
  /** Remembers a cut; nothing goes yet. */
  putPruning(pruning: Pruning): Promise<void>;
  /** Takes out up to `limit` of what a cut has left over, records first; how many went. */
  removePruned(node: string, limit: number): Promise<number>;
  size(): Promise<StoreSize>;
  /** Copies the database to a new file while it is written to. Rejects with `StoreReadError`. */
  copy(path: string): Promise<Copied>;
  /** Makes this store, a copy that nothing else has open, a backup; close it then. */
  seal(mark: BackupMark, checkpoints: readonly Checkpoint[]): Promise<void>;
  /** Events of this runtime and of its whole tenant, up to `each` (10) before and after `time`. */
  eventsAround(tenant: Tenant, runtimeId: string, time: number, each?: number): Promise<StoredEvent[]>;
  eventsAfter(seq: number, limit: number): Promise<StoredEvent[]>;
  putCheckpoint(checkpoint: Checkpoint): Promise<void>;
  /** All checkpoints of a node, or of every node, by node and record. */
  checkpoints(node?: string): Promise<Checkpoint[]>;
  putBundle(bundle: NewBundle): Promise<void>;
  getBundle(sha256: string): Promise<(BundleInfo & NewBundle) | null>;
  /** All of them without their files, by name and serial. */
  listBundles(): Promise<BundleInfo[]>;
  /** Writes it where its version is still `version`, and gives the new one; else `StoreConflict` (`document_moved`). */
  putDocument(document: NewDocument): Promise<number>;
  removeDocument(document: Pick<StoredDocument, 'kind' | 'id' | 'version'>): Promise<void>;
  /** Null also for one that has expired. */
  getDocument(kind: string, id: string): Promise<StoredDocument | null>;
  /** A tenant's documents of a kind, by id, after `cursor` (an id). */
  listDocuments(
    kind: string,
    tenant: Tenant,
    page: { readonly cursor?: string; readonly limit: number },
  ): Promise<DocumentPage>;
  /** Runtimes by id after `cursor` (a runtime id). */
  listRuntimes(
    tenant: Tenant,
    page: { readonly cursor?: string; readonly limit: number },
  ): Promise<{ runtimes: Runtime[]; next_cursor: string | null }>;
  /** Changes `maxBytes` while running. */
  limit(maxBytes: number | null): Promise<void>;
  stats(): Promise<StoreStats>;
  health(): StoreHealth;
  /** Writes what was asked for, folds the WAL into the file and ends the thread. Safe to call twice. */
  close(): Promise<void>;
}

const CURSOR = /^(\d{1,16})\.(\d{1,16})$/;
const PAGE_AT_MOST = 1000;

/** Opens, or creates, the store. Rejects with `StoreOpenError`. */
export async function openStore({ path, clock, maxBytes = null }: StoreOptions): Promise<Store> {
  return storeOver(await startWorker({ path: resolve(path), maxBytes, now: clock() }), clock);
}

/** A store's methods, over whatever answers its calls. */
export function storeOver({ call, health, close }: StoreClient, clock: () => number): Store {
  return {
    load: () => call('load', { now: clock() }),
    appendEvent: (event) => call('event', event),
    commitRecords: (batch) => call('commit', { batch, now: clock() }),
    queryRecords: (query) => queryRecords(call, query),
    recordById: (decision_id, within) => call('recordById', { decision_id, within }),
    streamRecords: async (within, after, limit, whole = false) =>
      call('stream', { within, after, limit: pageLimit(limit), whole }),
    followRecords: async (within, filters, after, limit) =>
      call('follow', { within, filters, after, limit: pageLimit(limit) }),
    countRecords: (tenant, range) => call('count', { tenant, range }),
    logEnd: () => call('logEnd', null),
    checkpointsAfter: async (node, seq, limit) =>
      call('checkpoints', { node, after: { node, seq }, limit: pageLimit(limit) }),
    prunable: (node, before) => call('prunable', { node, before }),
    putPruning: (pruning) => call('putPruning', pruning),
    removePruned: async (node, limit) => call('removePruned', { node, limit: pageLimit(limit) }),
    size: () => call('size', null),
    copy: (path) => call('copy', { path: resolve(path) }),
    seal: (mark, signed) => call('seal', { mark, checkpoints: signed }),
    eventsAround: (tenant, runtime_id, time, each = 10) =>
      call('eventsAround', { tenant, runtime_id, time, each }),
    eventsAfter: async (after, limit) => call('eventsAfter', { after, limit: pageLimit(limit) }),
    putCheckpoint: (checkpoint) => call('putCheckpoint', checkpoint),
    checkpoints: (node) => allCheckpoints(call, node ?? null),
    putDocument: (document) => call('putDocument', { document, now: clock() }),
    removeDocument: ({ kind, id, version }) => call('removeDocument', { kind, id, version, now: clock() }),
    getDocument: (kind, id) => call('getDocument', { kind, id, now: clock() }),
    listDocuments: async (kind, tenant, { cursor = '', limit }) =>
      call('documents', { kind, tenant, after: cursor, limit: pageLimit(limit), now: clock() }),
    putBundle: (bundle) => call('putBundle', bundle),
    getBundle: (sha256) => call('getBundle', { sha256 }),
    listBundles: () => call('bundles', null),
    listRuntimes: async (tenant, { cursor = '', limit }) => {
      const runtimes = await call('runtimes', { tenant, after: cursor, limit: pageLimit(limit) });
      return {
        runtimes,
        next_cursor: runtimes.length < limit ? null : (runtimes.at(-1)?.runtime_id ?? null),
      };
    },
    limit: (bytes) => call('limit', { maxBytes: bytes }),
    stats: () => call('stats', null),
    health,
    close,
  };
}

export type Ask = <K extends Kind>(kind: K, args: Args<K>) => Promise<Result<K>>;

/** Step after step until the page is full: each one leaves the thread free for writes in between. */
async function queryRecords(call: Ask, { cursor, ...query }: RecordQuery): Promise<RecordPage> {
  const lines: string[] = [];
  const wanted = pageLimit(query.limit);
  let from = cursor === undefined ? null : placeOf(cursor);
  do {
    const step = await call('query', { query: { ...query, limit: wanted - lines.length }, from });
    lines.push(...step.lines);
    from = step.next;
  } while (from !== null && lines.length < wanted);
  return { lines, next_cursor: from === null ? null : `${from.time}.${from.position}` };
}

/** Page by page: a year of them is too much for one message. */
async function allCheckpoints(call: Ask, node: string | null): Promise<Checkpoint[]> {
  const found: Checkpoint[] = [];
  for (;;) {
    const after = found.at(-1) ?? { node: node ?? '', seq: 0 };
    const page = await call('checkpoints', { node, after, limit: PAGE_AT_MOST });
    found.push(...page);
    if (page.length < PAGE_AT_MOST) return found;
  }
}

function placeOf(cursor: string): Place {
  const [, time, position] = CURSOR.exec(cursor) ?? [];
  if (time === undefined || position === undefined) {
    throw new InputError([{ field: 'cursor', message: 'must be the `next_cursor` of the page before' }]);
  }
  return { time: Number(time), position: Number(position) };
}

function pageLimit(limit: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= PAGE_AT_MOST) return limit;
  throw new InputError([{ field: 'limit', message: `must be a whole number from 1 to ${PAGE_AT_MOST}` }]);
}

interface Pending {
  readonly kind: Kind;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** What answers a store's calls: SQLite's thread, or PostgreSQL (src/store/postgres). */
export interface StoreClient {
  readonly call: Ask;
  readonly health: () => StoreHealth;
  readonly close: () => Promise<void>;
}

/**
 * Room for the thread's young objects. Few outlive their transaction, so that more would only hold more garbage, and the
 * lines of records with it; unbounded, it grows to 48 within some 400,000 records.
 */
const YOUNG_MB = 12;

async function startWorker(options: WorkerOptions): Promise<StoreClient> {
  const file = new URL(`./worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
  const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_MB };
  const worker = new Worker(file, { workerData: options, execArgv: [], name: 'lemma-store', resourceLimits });
  /** By id, which is used again: a Map would leave tables with what was asked in V8's old space, where they are kept long. */
  const pending: (Pending | undefined)[] = [];
  const free: number[] = [];
  const ended = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<void>();
  let health: StoreHealth = { writable: true, error: null };
  let closing: Promise<void> | undefined;
  let gone: Error | undefined;

  worker.on('message', (message: Message) => {
    if (message.type === 'answers') message.answers.forEach(settle);
    else if (message.error === null) ready.resolve();
    else ready.reject(fromWire(message.error));
  });
  worker.on('error', (error) =>
    end(new StoreWriteError('WORKER', `The store's thread failed: ${messageOf(error)}`)),
  );
  worker.on('exit', () => {
    end(new StoreClosedError('The store is closed'));
    ended.resolve();
  });

  function settle(answer: Answer): void {
    const asked = pending[answer.id];
    if (asked === undefined) return;
    pending[answer.id] = undefined;
    free.push(answer.id);
    if (answer.ok) {
      if (isWriteKind(asked.kind)) health = { writable: true, error: null };
      asked.resolve(answer.value);
      return;
    }
    if (answer.error.kind === 'write') health = { writable: false, error: answer.error.message };
    asked.reject(fromWire(answer.error));
  }

  function end(error: Error): void {
    gone ??= error;
    health = { writable: false, error: gone.message };
    ready.reject(gone);
    for (const asked of pending.splice(0)) asked?.reject(gone);
  }

  function post<K extends Kind>(kind: K, args: Args<K>): Promise<Result<K>> {
    if (gone !== undefined) return Promise.reject(gone);
    return new Promise((resolve, reject) => {
      const id = free.at(-1) ?? pending.length;
      worker.postMessage({ id, kind, args });
      free.pop();
      pending[id] = { kind, resolve: (value) => resolve(value as Result<K>), reject };
    });
  }

  async function shut(): Promise<void> {
    if (gone === undefined) await post('close', null);
    await ended.promise;
  }

  await ready.promise;
  return {
    call: (kind, args) => {
      if (closing !== undefined) return Promise.reject(new StoreClosedError('The store is closed'));
      return post(kind, args);
    },
    health: () => health,
    close: () => {
      closing ??= shut();
      return closing;
    },
  };
}
