import type { Database } from 'better-sqlite3';
import { toWire } from './errors.ts';
import type { Answer, WriteRequest } from './protocol.ts';

/** Pages beyond `maxBytes` for everything but records: a kill must be durable when the log is full. 1 MiB. */
const RESERVE_PAGES = 256;

export interface GroupParts {
  readonly db: Database;
  /** Does one request in the open transaction. */
  readonly handle: (request: WriteRequest) => unknown;
  /** The transaction is durable, or undone. */
  readonly keep: () => void;
  readonly undo: () => void;
  /** Sets the page limit with this many pages in reserve. */
  readonly reserve: (pages: number) => void;
}

export interface GroupCounts {
  transactions: number;
  failed: number;
  writes: number;
}

/**
 * Group commit: all requests in one transaction, one sync to disk. A request that cannot be done (a
 * conflict) costs only itself. Where the
 * transaction fails (disk full), records fail; events and the rest are tried again each alone, with the reserve.
 */
export function groupWriter(
  parts: GroupParts,
  counts: GroupCounts,
): (requests: readonly WriteRequest[]) => Answer[] {
  const { db, handle, keep, undo, reserve } = parts;
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const rollback = db.prepare('ROLLBACK');
  const mark = db.prepare('SAVEPOINT request');
  const release = db.prepare('RELEASE request');
  const back = db.prepare('ROLLBACK TO request');

  return (requests) => {
    counts.writes += requests.length;
    const answers = transact(requests);
    if (Array.isArray(answers)) return answers;
    return requests.every((request) => request.kind === 'commit')
      ? fail(requests, answers.error)
      : apart(requests);
  };

  function transact(requests: readonly WriteRequest[]): Answer[] | { readonly error: unknown } {
    try {
      counts.transactions += 1;
      begin.run();
      const answers = requests.map(requests.length === 1 ? attemptAlone : attempt);
      // Whatever is said to be kept is committed, or this throws.
      if (db.inTransaction || answers.some(({ ok }) => ok)) commit.run();
      keep();
      return answers;
    } catch (error) {
      counts.failed += 1;
      if (db.inTransaction) rollback.run();
      undo();
      return { error };
    }
  }

  /** With nothing beside it that must stay, it needs no mark to go back to: SQLite would keep each page as it was, too. */
  function attemptAlone(request: WriteRequest): Answer {
    try {
      return { id: request.id, ok: true, value: handle(request) };
    } catch (error) {
      if (!db.inTransaction || ofTheDisk(error)) throw error;
      rollback.run();
      undo();
      return { id: request.id, ok: false, error: toWire(error, 'write') };
    }
  }

  function attempt(request: WriteRequest): Answer {
    mark.run();
    try {
      const value = handle(request);
      release.run();
      return { id: request.id, ok: true, value };
    } catch (error) {
      // Where the disk is the trouble, SQLite ends the transaction itself, or not, as it comes: all of it is tried
      // again. Anything else costs only this request.
      if (!db.inTransaction || ofTheDisk(error)) throw error;
      back.run();
      release.run();
      return { id: request.id, ok: false, error: toWire(error, 'write') };
    }
  }

  function apart(requests: readonly WriteRequest[]): Answer[] {
    const records = requests.filter((request) => request.kind === 'commit');
    const others = requests.filter((request) => request.kind !== 'commit');
    reserve(RESERVE_PAGES);
    const answers = others.flatMap((request) => answersOf([request]));
    reserve(0);
    return records.length === 0 ? answers : [...answers, ...answersOf(records)];
  }

  function answersOf(requests: readonly WriteRequest[]): Answer[] {
    const answers = transact(requests);
    return Array.isArray(answers) ? answers : fail(requests, answers.error);
  }
}

/** SQLite's codes for a medium that takes no more (sqlite.org/rescode.html): a full one, or one that fails. */
function ofTheDisk(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^SQLITE_(?:FULL|IOERR)/.test(String(error.code));
}

function fail(requests: readonly WriteRequest[], error: unknown): Answer[] {
  const wire = toWire(error, 'write');
  return requests.map(({ id }) => ({ id, ok: false, error: wire }));
}
