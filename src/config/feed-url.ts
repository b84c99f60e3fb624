import { isIPv6 } from 'node:net';
import type { FeedServer } from '../schema/config.ts';
import { isHostName } from '../schema/origin.ts';

const FORM = 'redis://[user:password@]host[:port][/database], or rediss:// for TLS';
const DEFAULT_PORT = 6379;
/** Far above what any Redis is configured with. */
const DATABASES = 10_000;

/** `redis://…` or `rediss://…`; null for anything else. User and password are percent-decoded. */
export function parseFeedUrl(text: string): FeedServer | null {
  const url = URL.parse(text);
  if (url === null || feedProblem(text) !== null) return null;
  return {
    host: bare(url.hostname),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    tls: url.protocol === 'rediss:',
    username: url.username === '' ? null : decodeURIComponent(url.username),
    password: url.password === '' ? null : decodeURIComponent(url.password),
    database: Number(url.pathname.slice(1)),
  };
}

/** What is wrong with the address of a Redis, or null. Never repeats the text: a password may stand in it. */
export function feedProblem(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || !/^rediss?:\/\//i.test(text)) return `must be ${FORM}`;
  const host = bare(url.hostname);
  if (host === '') return `must name its host: ${FORM}`;
  if (!isIPv6(host) && !isHostName(host.toLowerCase()))
    return 'must have a host name, IPv4 or [IPv6] as its host';
  if (url.port === '0') return 'must have a port of 1 to 65535';
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(text))
    return 'must have no query and no fragment: write ? and # of a password as %3F and %23';
  if (url.username !== '' && url.password === '')
    return 'names a user without a password: write user:password@, or :password@ for the default user';
  if (![url.username, url.password].every(isDecodable))
    return 'must have its user and password percent-encoded: % as %25';
  return /^(?:|\/|\/(?:0|[1-9]\d{0,3}))$/.test(url.pathname) && Number(url.pathname.slice(1)) < DATABASES
    ? null
    : 'must have the number of a database as its path, or none: redis://host:6379/0';
}

function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
