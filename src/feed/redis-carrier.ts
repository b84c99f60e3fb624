import { Redis } from 'ioredis';
import type { FeedServer } from '../schema/config.ts';
import type { Carrier } from './carrier.ts';
import { redisOptions } from './redis-options.ts';

export interface RedisCarrierOptions {
  readonly server: FeedServer;
  /** Of the deployment: nodes of another one hear nothing of it. */
  readonly org: string;
  readonly env: string;
}

/** Longer texts are not ours: an event is some hundreds of bytes. */
const LONGEST_TEXT = 64 * 1024;
/** A connection that brings no answer for so long is made again, milliseconds. */
const DEAD_MS = 2_000;

/** Redis's publish and subscribe, which keep nothing: what is published while a node is away, it never hears. */
export function createRedisCarrier({ server, org, env }: RedisCarrierOptions): Carrier {
  const channel = `lemma:events:${org}/${env}`;
  const options = { ...redisOptions(server), socketTimeout: DEAD_MS, autoResubscribe: false };
  const ears = new Set<(text: string) => void>();
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
    if (from !== channel || text.length > LONGEST_TEXT) return;
    for (const hear of ears) {
      try {
        hear(text);
      } catch {
        // Anybody may have sent it: nobody's text may end this process.
      }
    }
  });
  // A question now and then: nothing comes of itself from a server that is gone without a word.
  const pulse = setInterval(() => {
    if (listening) listener.ping().catch(() => undefined);
  }, DEAD_MS / 2).unref();

  return {
    publish: (text) =>
      speaker.publish(channel, text).then(
        () => true,
        () => false,
      ),
    subscribe(hear) {
      ears.add(hear);
      return () => void ears.delete(hear);
    },
    onGap(tell) {
      gaps.add(tell);
      if (listening) tell();
      return () => void gaps.delete(tell);
    },
    async close() {
      clearInterval(pulse);
      for (const client of [speaker, listener]) client.disconnect();
    },
  };
}
