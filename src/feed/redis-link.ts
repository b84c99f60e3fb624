import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { FeedServer } from '../schema/config.ts';
import { redisOptions } from './redis-options.ts';
import { SCRIPTS, type ScriptName } from './redis-scripts.ts';

/** Redis could not be asked, or not in time: what was asked may have been done all the same. */
export class RedisAway extends Error {
  override readonly name = 'RedisAway';
}

export interface LinkOptions {
  readonly server: FeedServer;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** How long an answer is waited for, milliseconds. */
  readonly waitMs: () => number;
  /** Hears of each change, and of another reason to be away; `why` holds no secret. */
  readonly onState: (up: boolean, why: string) => void;
  readonly onRoundTrip?: (ms: number) => void;
}

export interface ScriptCall {
  readonly script: ScriptName;
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
  /** Called where the answer comes after the caller was told `RedisAway`. */
  readonly late?: (reply: unknown) => void;
}

/** One connection to Redis, made again whenever it is lost. It asks for as much as comes in one turn of the loop at once. */
export interface RedisLink {
  readonly up: boolean;
  /** `run_id` of the process at the other end. */
  readonly runId: string;
  /** Since when it remembers, as it was greeted last; seconds. Null: never. */
  readonly knownFrom: number | null;
  /** Rejects with RedisAway: at once while Redis is away, else within `waitMs`. */
  run(call: ScriptCall): Promise<unknown>;
  /** Resolves once the first attempt to connect has come out, one way or the other. */
  readonly tried: Promise<void>;
  /** Sends what waits to be sent, and hangs up once it is answered; a server that does not answer is left. */
  close(): Promise<void>;
}

/** Where counts live, so that Lua finds them: see redis-scripts.ts. */
export const MEMORY_KEY = 'lemma:memory';
/** A server that has not answered for so long is not waited for any more: the connection is made again. */
const DEAD_MS = 2_000;
const FAREWELL_MS = 500;
/** Until a server that cannot be used as it is configured is looked at again. */
const RETRY_MS = 1_000;

interface Waiting {
  readonly call: ScriptCall;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: RedisAway) => void;
}

/** What was sent together; `given up` is what its callers were told already. */
interface Batch {
  readonly entries: readonly Waiting[];
  givenUp: boolean;
  readonly timer: NodeJS.Timeout;
}

/**
 * - `away`: no connection. `greeting`: connected, its memory not looked at yet. `silent`: an answer is overdue; nothing more
 *   is asked until one comes, so that a server that wakes up has not been sent what nobody waits for any more.
 */
type State = 'away' | 'greeting' | 'up' | 'silent';

export function createRedisLink({ server, clock, waitMs, onState, onRoundTrip }: LinkOptions): RedisLink {
  const redis = new Redis(redisOptions(server));
  const tried = Promise.withResolvers<void>();
  const sent = new Set<Batch>();
  let queue: Waiting[] = [];
  let state: State = 'away';
  let why = 'not connected yet';
  let told = '';
  let runId = '';
  let knownFrom: number | null = null;
  /** Counts connections: what belongs to an earlier one is over. */
  let connection = 0;
  let watch: NodeJS.Timeout | undefined;
  let closed = false;

  function enter(next: State, because = ''): void {
    state = next;
    why = because;
    clearTimeout(watch);
    if (closed) return;
    if (next === 'silent' || next === 'greeting') watch = setTimeout(() => redis.disconnect(true), DEAD_MS);
    if (next === 'greeting') return;
    tried.resolve();
    const news = next === 'up' ? 'up' : `away ${because}`;
    if (news === told) return;
    told = news;
    onState(next === 'up', because);
  }

  redis.on('error', (error: unknown) => {
    if (state === 'away') enter('away', messageOf(error));
  });
  redis.on('connect', () => {
    clearTimeout(watch);
    // Whoever takes connections but does not greet.
    watch = setTimeout(() => redis.disconnect(true), DEAD_MS);
  });
  redis.on('ready', () => {
    connection += 1;
    void greet();
  });
  redis.on('close', () => {
    connection += 1;
    clearTimeout(watch); // it was about this connection
    if (state !== 'away') enter('away', 'the connection was lost');
    tried.resolve();
    for (const batch of sent) giveUp(batch);
  });

  async function greet(): Promise<void> {
    const mine = connection;
    enter('greeting');
    try {
      const info = String(await redis.info());
      const problem = unfit(info);
      if (problem !== null) throw new RedisAway(problem);
      const id = infoOf(info, 'run_id') ?? '';
      for (const { lua } of Object.values(SCRIPTS)) await redis.script('LOAD', lua);
      const now = Math.floor(clock() / 1000);
      const from: unknown = await redis.evalsha(SCRIPTS.greet.sha, 1, MEMORY_KEY, now, id);
      if (mine !== connection) return;
      if (typeof from === 'number') knownFrom = from;
      runId = id;
      enter('up');
    } catch (error) {
      if (mine !== connection || closed) return;
      enter('away', messageOf(error));
      // Anew: the name may lead elsewhere by then.
      watch = setTimeout(() => redis.disconnect(true), RETRY_MS);
    }
  }

  function flush(): void {
    const entries = queue;
    queue = [];
    if (entries.length === 0) return;
    if (state !== 'up') {
      for (const { reject } of entries) reject(new RedisAway(why));
      return;
    }
    const pipeline = redis.pipeline();
    for (const { call } of entries)
      pipeline.evalsha(SCRIPTS[call.script].sha, call.keys.length, ...call.keys, ...call.args);
    // A busy loop sees its timer before the answer that came long ago: one more look at the socket, then it is late.
    const timer = setTimeout(() => setImmediate(() => overdue(batch)), waitMs());
    const batch: Batch = { entries, givenUp: false, timer };
    sent.add(batch);
    const began = performance.now();
    const mine = connection;
    const done = (replies: readonly [unknown, unknown][] | null) => {
      sent.delete(batch);
      clearTimeout(timer);
      onRoundTrip?.(performance.now() - began);
      if (replies === null) return giveUp(batch);
      // First: what comes late has operations to give back.
      if (state === 'silent' && mine === connection) enter('up');
      settle(batch, replies);
    };
    pipeline.exec().then(done, () => done(null));
  }

  function settle({ entries, givenUp }: Batch, replies: readonly [unknown, unknown][]): void {
    for (const [index, { call, resolve, reject }] of entries.entries()) {
      const [error, reply] = replies[index] ?? [new Error('no reply'), null];
      if (error !== null) {
        complain(error);
        reject(new RedisAway(messageOf(error)));
      } else if (givenUp) call.late?.(reply);
      else resolve(reply);
    }
  }

  /** What a server's refusal says about it: the next requests need not find out for themselves. */
  function complain(error: unknown): void {
    if (state !== 'up') return;
    const message = messageOf(error);
    if (message.startsWith('NOSCRIPT')) void greet();
    // It is a replica now: the name may lead to another one that is not.
    if (message.startsWith('READONLY')) redis.disconnect(true);
  }

  function overdue(batch: Batch): void {
    if (!sent.has(batch)) return;
    giveUp(batch);
    if (state === 'up') enter('silent', 'it did not answer in time');
  }

  function giveUp(batch: Batch): void {
    if (batch.givenUp) return;
    batch.givenUp = true;
    clearTimeout(batch.timer);
    const because = state === 'away' ? why : 'it did not answer in time';
    for (const { reject } of batch.entries) reject(new RedisAway(because));
  }

  redis.connect().catch(() => undefined); // told by its events

  return {
    get up() {
      return state === 'up';
    },
    get runId() {
      return runId;
    },
    get knownFrom() {
      return knownFrom;
    },
    tried: tried.promise,
    run: (call) => {
      if (state !== 'up') return Promise.reject(new RedisAway(why));
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      queue.push({ call, resolve, reject });
      if (queue.length === 1) setImmediate(flush);
      return promise;
    },
    async close() {
      closed = true;
      clearTimeout(watch);
      tried.resolve();
      if (state === 'up') {
        flush();
        const farewell = redis.quit().catch(() => undefined);
        await Promise.race([farewell, pause(FAREWELL_MS, undefined, { ref: false })]);
      }
      redis.disconnect();
    },
  };
}

/** Why a server cannot keep what must not be forgotten, or null. */
function unfit(info: string): string | null {
  if (infoOf(info, 'run_id') === undefined)
    return 'INFO names no run_id: it is no Redis that can be told from another';
  if (infoOf(info, 'cluster_enabled') === '1') return 'it is a cluster: name a single Redis (or its primary)';
  const policy = infoOf(info, 'maxmemory_policy') ?? 'noeviction';
  return policy === 'noeviction'
    ? null
    : `it forgets what it was told (maxmemory-policy ${policy}): set maxmemory-policy noeviction`;
}

function infoOf(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}

/** Only its text: the client's errors carry the command that failed, and that of a sign-in is the password. */
function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error';
}
