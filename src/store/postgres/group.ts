import { fromWire, StoreClosedError, StoreConflict, StoreOpenError, toWire } from '../errors.ts';
import type { GroupCounts } from '../group.ts';
import type { Args, Result, WriteKind } from '../protocol.ts';
import type { BatchToWrite } from './commit.ts';
import type { Connection } from './connect.ts';
import { isOfConnection, isTimeout } from './failure.ts';
import type { Session } from './session.ts';
import { one, type Sql } from './sql.ts';

export type SingleKind = Exclude<WriteKind, 'commit'>;

export interface GroupParts {
  readonly session: Session;
  /** Text of the lock that every writer of this schema takes first. */
  readonly lock: string;
  /** Does one request in the open transaction. */
  readonly handle: <K extends SingleKind>(sql: Sql, kind: K, args: Args<K>) => Promise<Result<K>>;
  /** Writes batches of records in the open transaction; null: there is no room for records. */
  readonly records: (sql: Sql, batches: readonly BatchToWrite[]) => Promise<readonly unknown[] | null>;
  readonly counts: GroupCounts;
}

export interface Group {
  /** Rejects with `StoreConflict` or `StoreWriteError`. */
  write<K extends WriteKind>(kind: K, args: Args<K>): Promise<Result<K>>;
  /** Resolves once what was asked for before is written, or has failed. */
  settled(): Promise<void>;
}

interface Waiting {
  readonly kind: WriteKind;
  readonly args: unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: unknown };

/** Bounds one transaction, and so the wait of its first request. */
const GROUP_AT_MOST = 1024;
/** How long a commit whose answer was lost may be asked after. */
const DOUBT_MS = 5000;
const DOUBT_TRIES = 5;

/** Records fail, and only records, until there is room. */
class FullError extends Error {
  override readonly name = 'FullError';
  readonly code = 'STORE_FULL';
}

/** The connection broke before the transaction was to be committed: nothing of it is kept. */
class Broken extends Error {
  override readonly name = 'Broken';
}

/**
 * Group commit: what has queued up is one transaction. All writers of a schema, of whatever node, take one lock first, so that
 * positions and numbers become visible in their order. A conflict is found before its request writes anything, and
 * costs only that; where a statement fails, the group is done again, each request behind its own savepoint.
 */
export function groupWriter({ session, lock, handle, records, counts }: GroupParts): Group {
  const queue: Waiting[] = [];
  /** The group that is being written. */
  let underway: Promise<readonly Outcome[]> = Promise.resolve([]);
  let pumping = false;

  async function drain(): Promise<void> {
    while (queue.length > 0) {
      const group = queue.splice(0, GROUP_AT_MOST);
      counts.writes += group.length;
      underway = outcomesOf(group);
      const outcomes = await underway;
      for (const [index, { resolve, reject }] of group.entries()) {
        const outcome = outcomes[index];
        if (outcome?.ok === true) resolve(outcome.value);
        else reject(wireError(outcome?.error));
      }
    }
    pumping = false;
  }

  async function outcomesOf(group: readonly Waiting[]): Promise<readonly Outcome[]> {
    const failed = (error: unknown) => group.map((): Outcome => ({ ok: false, error }));
    try {
      return await transact(together, group);
    } catch (error) {
      if (error instanceof Broken || isTimeout(error) || group.length === 1) return failed(causeOf(error));
    }
    try {
      return await transact(apart, group);
    } catch (error) {
      return failed(causeOf(error));
    }
  }

  /** Throws `Broken`, or the statement's own error after a rollback. */
  async function transact(
    doAll: (sql: Sql, group: readonly Waiting[]) => Promise<readonly Outcome[]>,
    group: readonly Waiting[],
  ): Promise<readonly Outcome[]> {
    counts.transactions += 1;
    let connection: Connection | null = null;
    let outcomes: readonly Outcome[];
    let id: string;
    try {
      connection = await session.use();
      id = await begin(connection);
      outcomes = await doAll(connection, group);
    } catch (error) {
      counts.failed += 1;
      if (connection === null) throw new Broken('no connection', { cause: error });
      if (isOfConnection(error)) {
        session.drop(connection);
        throw new Broken('lost', { cause: error });
      }
      await rollback(connection);
      throw error;
    }
    try {
      await connection.run('COMMIT');
    } catch (error) {
      session.drop(connection);
      // The answer was lost, not necessarily the commit.
      if (await wasCommitted(id)) return outcomes;
      counts.failed += 1;
      throw new Broken('lost', { cause: error });
    }
    return outcomes;
  }

  /** Its full number, by which its outcome can be asked for. */
  async function begin(sql: Sql): Promise<string> {
    await sql.run('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
    const row = await one<{ id: string }>(
      sql,
      'SELECT pg_current_xact_id()::text AS id FROM pg_advisory_xact_lock(hashtextextended($1, 0))',
      [lock],
    );
    return row?.id ?? '';
  }

  async function rollback(connection: Connection): Promise<void> {
    await connection.run('ROLLBACK').catch(() => session.drop(connection));
  }

  /** False also where nobody can tell: a request is never said to be kept that may not be. */
  async function wasCommitted(id: string): Promise<boolean> {
    for (let n = 0; n < DOUBT_TRIES; n += 1) {
      try {
        const sql = await session.use(DOUBT_MS / DOUBT_TRIES);
        const row = await one<{ status: string | null }>(
          sql,
          'SELECT pg_xact_status($1::text::xid8) AS status FROM pg_advisory_xact_lock_shared(hashtextextended($2, 0))',
          [id, lock],
        );
        return row?.status === 'committed';
      } catch (error) {
        if (error instanceof StoreClosedError) return false;
      }
    }
    return false;
  }

  async function together(sql: Sql, group: readonly Waiting[]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const run of runsOf(group)) {
      const [first] = run;
      if (first?.kind === 'commit') outcomes.push(...(await writeRecords(sql, run)));
      else for (const request of run) outcomes.push(await attempt(sql, request));
    }
    return outcomes;
  }

  async function apart(sql: Sql, group: readonly Waiting[]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const request of group) {
      await sql.run('SAVEPOINT request');
      try {
        outcomes.push(...(await together(sql, [request])));
        await sql.run('RELEASE request');
      } catch (error) {
        if (isOfConnection(error)) throw error;
        await sql.run('ROLLBACK TO request');
        outcomes.push({ ok: false, error });
      }
    }
    return outcomes;
  }

  async function writeRecords(sql: Sql, run: readonly Waiting[]): Promise<readonly Outcome[]> {
    const written = await records(
      sql,
      run.map(({ args }) => args as BatchToWrite),
    );
    const full = new FullError('the database is as large as log.max_bytes permits');
    return run.map((_, index): Outcome => {
      return written === null ? { ok: false, error: full } : { ok: true, value: written[index] };
    });
  }

  async function attempt(sql: Sql, { kind, args }: Waiting): Promise<Outcome> {
    try {
      return { ok: true, value: await handle(sql, kind as SingleKind, args as Args<SingleKind>) };
    } catch (error) {
      if (error instanceof StoreConflict) return { ok: false, error };
      throw error;
    }
  }

  return {
    write<K extends WriteKind>(kind: K, args: Args<K>): Promise<Result<K>> {
      return new Promise((resolve, reject) => {
        queue.push({ kind, args, resolve: (value) => resolve(value as Result<K>), reject });
        if (pumping) return;
        pumping = true;
        // What the same turn asks for shares the transaction.
        queueMicrotask(() => void drain());
      });
    },
    async settled() {
      // What is asked for meanwhile is not waited for: the last of today's is.
      const last = queue.pop();
      if (last === undefined) {
        await underway;
        return;
      }
      await new Promise<void>((done) => {
        const { resolve, reject } = last;
        queue.push({
          ...last,
          resolve: (value) => {
            resolve(value);
            done();
          },
          reject: (error) => {
            reject(error);
            done();
          },
        });
      });
    },
  };
}

function causeOf(error: unknown): unknown {
  return error instanceof Broken ? error.cause : error;
}

function wireError(error: unknown): Error {
  if (error instanceof StoreClosedError) return error;
  const wire = toWire(error instanceof StoreOpenError ? asFailure(error) : error, 'write');
  return fromWire(wire);
}

/** Another process has the node's name, or the database is newer, since the connection was lost. */
function asFailure({ code, message }: StoreOpenError): Error {
  return Object.assign(new Error(message), { code });
}

/** Requests that may share statements: batches of records that come one after another. */
function runsOf(group: readonly Waiting[]): Waiting[][] {
  const runs: Waiting[][] = [];
  for (const request of group) {
    const last = runs.at(-1);
    if (last?.[0] !== undefined && (last[0].kind === 'commit') === (request.kind === 'commit'))
      last.push(request);
    else runs.push([request]);
  }
  return runs;
}
