import type { StoreAddress, StoreTls } from '../schema/config.ts';

const MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const;
const PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'schema', 'host', 'user'] as const;
const SCHEMA = /^[a-z_][a-z0-9_]{0,62}$/;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/;
const EXAMPLE = 'postgres://user@host:5432/database';
const SOCKET = 'postgres:///database?host=/run/postgresql&user=user';

/**
 * Takes a URL apart, or says what is wrong with it. Without `sslmode` a server on another machine must show a certificate
 * that fits its name; parameters that are not ours are refused, never passed over.
 */
export function parseStoreUrl(text: string): StoreAddress | string {
  const url = URL.parse(text);
  if (url === null || !/^postgres(?:ql)?:$/.test(url.protocol)) return `must be a URL: ${EXAMPLE}`;
  const given = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (!PARAMETERS.some((known) => known === name))
      return `has an unknown parameter ${name}: known are ${PARAMETERS.join(', ')}`;
    if (given.has(name) || value === '') return `must have one value for ${name}`;
    given.set(name, value);
  }
  const parts = decoded([url.hostname, url.username, url.password, url.pathname.slice(1)]);
  if (parts === null) return 'must have %25 in place of a %';
  const [named = '', signedIn = '', password = '', database = ''] = parts;
  const user = given.get('user') ?? signedIn;
  const host = (given.get('host') ?? named).replace(/^\[(.*)\]$/, '$1');
  if (host === '') return `must name a host: ${EXAMPLE}, or ${SOCKET}`;
  if (user === '') return `must name a user: ${EXAMPLE}`;
  if (database === '' || database.includes('/')) return `must name one database: ${EXAMPLE}`;
  const schema = given.get('schema') ?? 'lemma';
  if (!SCHEMA.test(schema) || schema.startsWith('pg_'))
    return 'must have a schema of a-z 0-9 _ that does not begin with a digit or pg_';
  const tls = tlsOf(given, host);
  if (typeof tls === 'string') return tls;
  const port = url.port === '' ? 5432 : Number(url.port);
  return { host, port, user, password: password === '' ? null : password, database, schema, tls };
}

/** As a person may read it: where, never the password. */
export function shownStoreUrl({ host, port, user, database }: StoreAddress): string {
  return host.startsWith('/')
    ? `postgres:///${database}?host=${host}&user=${user}`
    : `postgres://${user}@${host.includes(':') ? `[${host}]` : host}:${port}/${database}`;
}

function tlsOf(given: ReadonlyMap<string, string>, host: string): StoreTls | null | string {
  const near = host.startsWith('/') || LOOPBACK.test(host);
  const text = given.get('sslmode') ?? (near ? 'disable' : 'verify-full');
  const mode = MODES.find((known) => known === text);
  if (mode === undefined) return `has sslmode ${text}: must be one of ${MODES.join(', ')}`;
  const files = { ca: given.get('sslrootcert'), cert: given.get('sslcert'), key: given.get('sslkey') };
  if (mode === 'disable') {
    return Object.values(files).some((file) => file !== undefined)
      ? 'has certificates but no TLS: say sslmode=verify-full'
      : null;
  }
  if (host.startsWith('/')) return 'has TLS on a Unix socket: say sslmode=disable';
  if ((files.cert === undefined) !== (files.key === undefined)) return 'must have both sslcert and sslkey';
  // As libpq does: who names an authority means it.
  const checked = mode === 'require' && files.ca !== undefined ? 'verify-ca' : mode;
  return { mode: checked, ca: files.ca ?? null, cert: files.cert ?? null, key: files.key ?? null };
}

function decoded(parts: readonly string[]): string[] | null {
  try {
    return parts.map(decodeURIComponent);
  } catch {
    return null;
  }
}
