import { setTimeout as pause } from 'node:timers/promises';
import { StoreClosedError, StoreOpenError, StoreWriteError } from '../errors.ts';
import type { Connection } from './connect.ts';
import { one, type Sql } from './sql.ts';

/** How long a write waits for a connection that is being made. */
const WAIT_MS = 250;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 2000;
/** How long an opening waits for a process that is just going away. */
const LOCK_TRIES = 8;
const LOCK_PAUSE_MS = 50;

/** The one connection that writes. Where it is lost, another is made, for as long as it takes. */
export interface Session {
  /** Rejects where there is none now: a write that waited would answer too late to be of use. */
  use(waitMs?: number): Promise<Connection>;
  /** This one is of no use any more. */
  drop(connection: Connection): void;
  close(): void;
}

/** `first` is open; `open` makes another. */
export function keepSession(first: Connection, open: () => Promise<Connection>): Session {
  const ended = new AbortController();
  let current: Connection | null = null;
  let failure: unknown = null;
  let connecting: Promise<void> | null = null;

  function take(connection: Connection): void {
    current = connection;
    failure = null;
    void connection.lost.then(() => lose(connection));
  }

  function lose(connection: Connection): void {
    if (current !== connection) return;
    current = null;
    if (ended.signal.aborted) return;
    connecting ??= reconnect().finally(() => {
      connecting = null;
    });
  }

  async function reconnect(): Promise<void> {
    for (let attempt = 0; current === null && !ended.signal.aborted; attempt += 1) {
      try {
        const connection = await open();
        if (ended.signal.aborted) connection.end();
        else take(connection);
      } catch (error) {
        failure = error;
        const longest = Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS);
        await sleep(longest * (0.5 + Math.random() / 2), ended.signal);
      }
    }
  }

  take(first);
  return {
    async use(waitMs = WAIT_MS) {
      if (current === null && connecting !== null) {
        const waited = new AbortController();
        await Promise.race([connecting, sleep(waitMs, waited.signal)]);
        waited.abort();
      }
      if (current !== null) return current;
      if (ended.signal.aborted) throw new StoreClosedError('The store is closed');
      throw failure ?? new StoreWriteError('UNREACHABLE', 'no connection to PostgreSQL');
    },
    drop(connection) {
      connection.end();
      lose(connection);
    },
    close() {
      ended.abort();
      current?.end();
    },
  };
}

/** Holds a node's name for as long as the connection lives: two writers of one chain would tear it. Throws `in_use`. */
export async function holdNode(sql: Sql, schema: string, node: string, shown: string): Promise<void> {
  for (let n = 0; n < LOCK_TRIES; n += 1) {
    if (n > 0) await pause(LOCK_PAUSE_MS);
    const row = await one<{ held: boolean }>(
      sql,
      'SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS held',
      [`lemma:node:${schema}:${node}`],
    );
    if (row?.held === true) return;
  }
  throw new StoreOpenError(
    'in_use',
    `${shown} is in use by another Lemma process as node ${node}: stop that one first, or give this one its own \`node\``,
  );
}

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => undefined);
}
