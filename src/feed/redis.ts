import { Redis } from 'ioredis';
import type { FeedServer } from '../schema/config.ts';
import { decodeEvent, encodeEvent, type Feed, type SignedEvent } from './feed.ts';
import { redisOptions } from './redis-options.ts';

export interface RedisFeedOptions {
  readonly server: FeedServer;
  /** Of the deployment: nodes of another one hear nothing of it. */
  readonly org: string;
  readonly env: string;
}

export interface RedisFeed extends Feed {
  /** Told whenever listening begins, again or for the first time: what was published until then may have been missed. */
  onGap(tell: () => void): () => void;
  /** Texts that are no event, since it was made. */
  readonly malformed: number;
}

/** Longer texts are not ours: an event is some hundreds of bytes. */
const LONGEST_TEXT = 64 * 1024;
/** A connection that brings no answer for so long is made again, milliseconds. */
const DEAD_MS = 2_000;

/**
 * A feed over Redis's publish and subscribe, which keep nothing: what is published while a node is away, it never hears.
 * Whoever may write to Redis may publish: only the form is looked at here.
 */
export function createRedisFeed({ server, org, env }: RedisFeedOptions): RedisFeed {
  const channel = `lemma:events:${org}/${env}`;
  const options = { ...redisOptions(server), socketTimeout: DEAD_MS, autoResubscribe: false };
  const handlers = new Set<(event: SignedEvent) => void>();
  let malformed = 0;
  const gaps = new Set<() => void>();
  // Who listens cannot speak on the same connection.
  const [speaker, listener] = [new Redis(options), new Redis(options)];
  let listening = false;

  for (const client of [speaker, listener]) {
    client.on('error', () => undefined); // it tries again, for as long as it is open
    client.connect().catch(() => undefined);
  }
  listener.on('close', () => {
    listening = false;
  });
  listener.on('ready', () => {
    listener.subscribe(channel).then(
      () => {
        listening = true;
        for (const tell of gaps) tell();
      },
      () => listener.disconnect(true),
    );
  });
  listener.on('message', (from: string, text: string) => {
    if (from !== channel) return;
    const event = eventIn(text);
    if (event === null) malformed += 1;
    else for (const handler of handlers) handOver(event, handler);
  });
  // A question now and then: nothing comes of itself from a server that is gone without a word.
  const pulse = setInterval(() => {
    if (listening) listener.ping().catch(() => undefined);
  }, DEAD_MS / 2).unref();

  return {
    async publish(event) {
      await speaker.publish(channel, encodeEvent(event));
    },
    subscribe(handler) {
      handlers.add(handler);
      return () => void handlers.delete(handler);
    },
    onGap(tell) {
      gaps.add(tell);
      if (listening) tell();
      return () => void gaps.delete(tell);
    },
    get malformed() {
      return malformed;
    },
    async close() {
      handlers.clear();
      clearInterval(pulse);
      for (const client of [speaker, listener]) client.disconnect();
    },
  };
}

function eventIn(text: string): SignedEvent | null {
  if (text.length > LONGEST_TEXT) return null;
  try {
    return decodeEvent(text);
  } catch {
    return null;
  }
}

function handOver(event: SignedEvent, handler: (event: SignedEvent) => void): void {
  try {
    handler(event);
  } catch {
    // Anybody may have sent it: nobody's event may end this process.
  }
}
