import type { RedisOptions } from 'ioredis';
import type { FeedServer } from '../schema/config.ts';

const CONNECT_MS = 2_000;
const LONGEST_PAUSE_MS = 1_000;

/** How we speak to Redis: nothing waits for a connection to come, and nothing is ever sent a second time. */
export function redisOptions({ host, port, tls, username, password, database }: FeedServer) {
  return {
    host,
    port,
    db: database,
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
    ...(tls ? { tls: { minVersion: 'TLSv1.2' as const } } : {}),
    connectionName: 'lemma',
    connectTimeout: CONNECT_MS,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 10), LONGEST_PAUSE_MS),
  } satisfies RedisOptions;
}
