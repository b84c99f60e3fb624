import pg from 'pg';
import { shownStoreUrl } from '../../config/store-url.ts';
import type { StoreAddress } from '../../schema/config.ts';
import {
  fromWire,
  StoreClosedError,
  StoreOpenError,
  StoreReadError,
  StoreWriteError,
  toWire,
} from '../errors.ts';
import type { GroupCounts } from '../group.ts';
import type { Tenant } from '../model.ts';
import { type Args, isWriteKind, type Kind, type Result, type WriteKind } from '../protocol.ts';
import { type Seen, type SeenPlace, wentBack } from '../seen.ts';
import { type Store, type StoreHealth, storeOver } from '../store.ts';
import { getBundle, listBundles, putBundle } from './bundles.ts';
import { recordWriter } from './commit.ts';
import { type Connection, clientConfig, connect, sqlOf } from './connect.ts';
import { getDocument, listDocuments, putDocument, removeDocument } from './documents.ts';
import { appendEvent } from './events.ts';
import { isOfConnection, openFailure } from './failure.ts';
import { fence, placeOf } from './fence.ts';
import { groupWriter, type SingleKind } from './group.ts';
import { checkpoints, eventsAfter, eventsAround, putCheckpoint } from './history.ts';
import { listRuntimes, load, metaOf } from './load.ts';
import { migrate } from './migrations.ts';
import { NO_BACKUP } from './no-backup.ts';
import { logEnd, prunable, putPruning, removePruned } from './pruning.ts';
import { countRecords, followRecords, queryStep, recordById, streamRecords } from './query.ts';
import { holdNode, keepSession } from './session.ts';
import { createQuota, type Quota, usedBytes } from './size.ts';
import type { Sql } from './sql.ts';

export interface PostgresOptions {
  readonly address: StoreAddress;
  /** This node's name: one process at a time has it. */
  readonly node: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Bytes in use at most; then records fail with `STORE_FULL` until there is room. Null: no limit. */
  readonly maxBytes?: number | null;
  /** By which a state that was put back is known, and then fenced. Absent: whatever is there is believed. */
  readonly guard?: StateGuard;
}

export interface StateGuard {
  readonly seen: Seen;
  /** The deployment's own, whose log tells of the fence. */
  readonly home: Tenant;
  /** The database had gone back to `found` from what was seen, and is fenced now. */
  readonly onFenced: (seen: SeenPlace, found: SeenPlace) => void;
}

const ANOTHER_STATE =
  'it is another state than this process knows (a dump that was put back, a replica that lagged): restart Lemma, which takes it into use and fences it';
const READERS = 4;
const IDLE_MS = 30_000;

type ReadKind = Exclude<Kind, WriteKind | 'stats' | 'limit' | 'seal' | 'copy' | 'close' | 'size'>;
type Handlers<K extends Kind> = {
  readonly [T in K]: (sql: Sql, args: Args<T>) => Promise<Result<T>>;
};

/** Each of one moment: a read that asks twice sees the same. */
const READS: Handlers<ReadKind> = {
  load: (sql, { now }) => load(sql, now),
  runtimes: (sql, { tenant, after, limit }) => listRuntimes(sql, tenant, after, limit),
  eventsAfter: (sql, { after, limit }) => eventsAfter(sql, after, limit),
  eventsAround: (sql, { tenant, runtime_id, time, each }) =>
    eventsAround(sql, tenant, runtime_id, time, each),
  query: (sql, { query, from }) => queryStep(sql, query, from),
  recordById: (sql, { decision_id, within }) => recordById(sql, decision_id, within),
  stream: (sql, { within, after, limit, whole }) => streamRecords(sql, within, after, limit, whole),
  follow: (sql, { within, filters, after, limit }) => followRecords(sql, within, filters, after, limit),
  count: (sql, { tenant, range }) => countRecords(sql, tenant, range),
  logEnd: (sql) => logEnd(sql),
  prunable: (sql, { node, before }) => prunable(sql, node, before),
  checkpoints: (sql, { node, after, limit }) => checkpoints(sql, node, after, limit),
  getDocument: (sql, { kind, id, now }) => getDocument(sql, kind, id, now),
  documents: (sql, { kind, tenant, after, limit, now }) =>
    listDocuments(sql, kind, tenant, after, limit, now),
  getBundle: (sql, { sha256 }) => getBundle(sql, sha256),
  bundles: (sql) => listBundles(sql),
};

function writesOf(epoch: number): Handlers<SingleKind> {
  return {
    event: (sql, event) => appendEvent(sql, epoch, event),
    putBundle,
    putCheckpoint,
    putPruning,
    removePruned: (sql, { node, limit }) => removePruned(sql, node, limit),
    putDocument: (sql, { document, now }) => putDocument(sql, document, now),
    removeDocument: (sql, { kind, id, version, now }) => removeDocument(sql, kind, id, version, now),
  };
}

/**
 * Opens, or creates, the store in a PostgreSQL: the same `Store` as SQLite's, for several nodes. One connection writes, and holds
 * the node's name; a few read. What has resolved was committed by the server, with `synchronous_commit`. Where the server goes
 * away, requests fail until it is back. Rejects with `StoreOpenError`.
 */
export async function openPostgres({
  address,
  node,
  clock,
  maxBytes = null,
  guard,
}: PostgresOptions): Promise<Store> {
  const shown = shownStoreUrl(address);
  const lock = `lemma:order:${address.schema}`;
  /** Whose state this process has in memory; null while it opens. */
  let own: SeenPlace | null = null;
  const config = clientConfig(address, `lemma ${node}`);
  const open = async (): Promise<Connection> => {
    const connection = await connect(config);
    try {
      // Once it is open, what it connects to again may be one that is just being put back: not a place to make anew.
      await migrate(connection, address.schema, shown, own === null ? clock() : null);
      await holdNode(connection, address.schema, node, shown);
      await connection.run(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')",
      );
      own = await settle(connection);
      return connection;
    } catch (error) {
      connection.end();
      throw error;
    }
  };
  /** The state that is there, fenced where it is older than what was seen: at the start, for memory holds no other yet. */
  const settle = async (connection: Connection): Promise<SeenPlace> => {
    const found = await placeOf(connection, node);
    const last = guard?.seen.last() ?? null;
    const older = last !== null && wentBack(last, found);
    if (own !== null && (older || found.store_id !== own.store_id || found.epoch !== own.epoch))
      throw new StoreOpenError('unusable', `${shown}: ${ANOTHER_STATE}`);
    if (!older || guard === undefined) {
      guard?.seen.mark(found);
      return found;
    }
    await fence(connection, lock, guard.home, last, clock());
    const fenced = await placeOf(connection, node);
    guard.seen.mark(fenced);
    guard.onFenced(last, found);
    return fenced;
  };
  const first = await open().catch((error: unknown) => {
    throw openFailure(shown, error);
  });
  const { epoch } = await metaOf(first);
  const session = keepSession(first, open);
  const pool = new pg.Pool({ ...config, max: READERS, idleTimeoutMillis: IDLE_MS });
  // One that idles and dies is replaced by the next that is asked for; one in use that dies between two statements would
  // end the process, did nobody listen.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));

  const counts: GroupCounts = { transactions: 0, failed: 0, writes: 0 };
  const quota = createQuota(maxBytes);
  const records = recordWriter(quota.grew);
  const writes = writesOf(epoch);
  const group = groupWriter({
    session,
    lock,
    counts,
    handle: (sql, kind, args) => writes[kind](sql, args),
    records: async (sql, batches) => ((await quota.full(sql)) ? null : records.write(sql, batches)),
  });
  const others = { counts, quota, read: reader(pool) };
  let health: StoreHealth = { writable: true, error: null };
  let closing: Promise<void> | undefined;

  async function write<K extends WriteKind>(kind: K, args: Args<K>): Promise<Result<K>> {
    try {
      const value = await group.write(kind, args);
      health = { writable: true, error: null };
      if (guard !== undefined) seen(guard.seen, kind, value);
      return value;
    } catch (error) {
      if (error instanceof StoreWriteError) health = { writable: false, error: error.message };
      throw error;
    }
  }

  /** Before anybody is told: what was acknowledged is what must not go back unseen. */
  function seen(mark: Seen, kind: WriteKind, value: unknown): void {
    const last = mark.last();
    if (last === null) return;
    if (kind === 'event') mark.mark({ ...last, ...(value as Result<'event'>) });
    if (kind !== 'commit') return;
    const { head } = value as Result<'commit'>;
    if (head?.node === node) mark.mark({ ...last, record: head.seq });
  }

  async function shut(): Promise<void> {
    await group.settled();
    session.close();
    await pool.end();
    guard?.seen.close();
    health = { writable: false, error: 'The store is closed' };
  }

  const close = () => {
    closing ??= shut();
    return closing;
  };
  const call = async <K extends Kind>(kind: K, args: Args<K>): Promise<Result<K>> => {
    if (closing !== undefined) throw new StoreClosedError('The store is closed');
    if (isWriteKind(kind)) return write(kind, args as Args<typeof kind>) as Promise<Result<K>>;
    // A read sees every write that was asked for before it.
    await group.settled();
    return answer(others, kind, args);
  };
  return storeOver({ call, health: () => health, close }, clock);
}

type Read = <T>(read: (sql: Sql) => Promise<T>) => Promise<T>;

interface Others {
  readonly counts: GroupCounts;
  readonly quota: Quota;
  readonly read: Read;
}

async function answer<K extends Kind>(others: Others, kind: K, args: Args<K>): Promise<Result<K>> {
  return (await answerOther(others, kind as Kind, args as Args<Kind>)) as Result<K>;
}

async function answerOther({ counts, quota, read }: Others, kind: Kind, args: Args<Kind>): Promise<unknown> {
  switch (kind) {
    case 'stats':
      return { ...counts };
    case 'limit':
      return quota.set((args as Args<'limit'>).maxBytes);
    case 'size':
      return { used: await read(usedBytes), limit: quota.limit() };
    case 'copy':
    case 'seal':
      throw new StoreReadError('NO_BACKUP', NO_BACKUP);
    default: {
      const handler = READS[kind as ReadKind] as (sql: Sql, args: Args<Kind>) => Promise<unknown>;
      return read((sql) => handler(sql, args));
    }
  }
}

/** Reads in a snapshot. A connection that died unseen is no reason to fail: it is tried once more, on another. */
function reader(pool: pg.Pool): Read {
  async function once<T>(read: (sql: Sql) => Promise<T>): Promise<T> {
    const client = await pool.connect();
    let broken = true;
    try {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const found = await read(sqlOf(client));
      await client.query('COMMIT');
      broken = false;
      return found;
    } finally {
      // What has failed is not used again: its transaction may be open.
      client.release(broken);
    }
  }
  return async (read) => {
    try {
      return await once(read).catch((error: unknown) => {
        if (isOfConnection(error)) return once(read);
        throw error;
      });
    } catch (error) {
      throw fromWire(toWire(error, 'read'));
    }
  };
}
