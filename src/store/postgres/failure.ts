import { codeOf, messageOf, StoreOpenError } from '../errors.ts';

/** SQLSTATE (postgresql.org/docs/current/errcodes-appendix.html): a statement's own trouble, after which the connection lives. */
const SQLSTATE = /^[0-9A-Z]{5}$/;
/** 08: connection, 57P: the server goes down; 25P03: it ended a transaction that stood still. */
const CONNECTION = /^(?:08...|57P..|25P03)$/;

/** 55P03: waited for a lock too long, 57014: took too long. Done again it would take as long. */
const TIMEOUT = /^(?:55P03|57014)$/;

export function isTimeout(error: unknown): boolean {
  return TIMEOUT.test(codeOf(error));
}

/** The connection is of no use any more: whatever was under way, its outcome is to be asked for. */
export function isOfConnection(error: unknown): boolean {
  // Ours: of a value that cannot be sent.
  if (error instanceof TypeError || error instanceof RangeError) return false;
  const code = codeOf(error);
  return !SQLSTATE.test(code) || CONNECTION.test(code);
}

/** What stands in the way of opening, as one error. `shown` names the database. */
export function openFailure(shown: string, error: unknown): StoreOpenError {
  if (error instanceof StoreOpenError) return error;
  const code = codeOf(error);
  const text = messageOf(error) || 'no connection';
  const mend = MENDS.get(code);
  return new StoreOpenError(
    'unusable',
    `${shown}: ${text} (${code})${mend === undefined ? '' : `; ${mend}`}`,
  );
}

const MENDS: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'start PostgreSQL, or change `store`'],
  ['ENOTFOUND', 'change the host in `store`'],
  ['28P01', 'change user or password in `store`'],
  ['28000', 'permit this user in pg_hba.conf, or change `store`'],
  ['3D000', 'create that database, or change `store`'],
  ['42501', 'let this user create the schema, or create it for this user'],
  ['53300', 'raise max_connections, or stop others'],
]);
