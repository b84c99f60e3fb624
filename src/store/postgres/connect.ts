import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import type { StoreAddress, StoreTls } from '../../schema/config.ts';
import { messageOf, StoreOpenError } from '../errors.ts';
import type { Sql } from './sql.ts';

const CONNECT_MS = 5000;
/** The server ends a statement after this; should it not answer at all, we give it up a little later. */
const STATEMENT_MS = 15_000;
const GIVE_UP_MS = 20_000;

/** A node that stands still in the midst of a transaction (SIGSTOP, a lost network) holds the lock of the order: not for long. */
const IDLE_MS = 1000;
const LOCK_MS = 5000;

export interface Connection extends Sql {
  /** Settles once it is gone, whoever ended it. */
  readonly lost: Promise<void>;
  end(): void;
}

/**
 * What every connection has.
 *
 * Throws `StoreOpenError`: a certificate file that cannot be read.
 */
export function clientConfig(address: StoreAddress, name: string): pg.ClientConfig {
  const { host, port, user, password, database, schema, tls } = address;
  const settings = {
    search_path: schema,
    idle_in_transaction_session_timeout: IDLE_MS,
    lock_timeout: LOCK_MS,
    tcp_keepalives_idle: 10,
    tcp_keepalives_interval: 5,
    tcp_keepalives_count: 3,
  };
  return {
    host,
    port,
    user,
    database,
    ...(password !== null && { password }),
    ssl: tls === null ? false : tlsOptions(tls),
    application_name: name,
    options: Object.entries(settings)
      .map(([setting, value]) => `-c ${setting}=${value}`)
      .join(' '),
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: STATEMENT_MS,
    query_timeout: GIVE_UP_MS,
    keepAlive: true,
    types: { getTypeParser },
  };
}

export async function connect(config: pg.ClientConfig): Promise<Connection> {
  const client = new pg.Client(config);
  const lost = Promise.withResolvers<void>();
  client.on('error', () => lost.resolve());
  client.on('end', () => lost.resolve());
  await client.connect();
  return { ...sqlOf(client), lost: lost.promise, end: () => void client.end().catch(() => undefined) };
}

export function sqlOf(client: Pick<pg.ClientBase, 'query'>): Sql {
  return {
    all: async (text, values = []) => (await client.query(text, [...values])).rows,
    run: async (text, values = []) => (await client.query(text, [...values])).rowCount ?? 0,
  };
}

/** Our whole numbers are all below 2^53: those of 64 bits come as numbers, sums too. */
function getTypeParser(oid: number, format?: 'text' | 'binary') {
  return oid === pg.types.builtins.INT8 || oid === pg.types.builtins.NUMERIC
    ? Number
    : pg.types.getTypeParser(oid, format as 'text');
}

function tlsOptions({ mode, ca, cert, key }: StoreTls): ConnectionOptions {
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: mode !== 'require',
    ...(mode === 'verify-ca' && { checkServerIdentity: () => undefined }),
    ...(ca !== null && { ca: read(ca) }),
    ...(cert !== null && { cert: read(cert) }),
    ...(key !== null && { key: read(key) }),
  };
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new StoreOpenError('unusable', `store: ${messageOf(error)}`);
  }
}
