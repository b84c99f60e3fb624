import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { nameOf, type Operator } from '../authority/operators.ts';
import { Refusal } from '../authority/refusal.ts';
import { takenWithin } from './stalled.ts';

/** Server-sent events (WHATWG HTML, 9.2). */

/** `id` is what a client sends as Last-Event-ID; `data` is one line. An event without data only sets the id. */
export function eventText(id: string, event: string | null, data: string | null): string {
  return `id: ${id}\n${event === null ? '' : `event: ${event}\n`}${data === null ? '' : `data: ${data}\n`}\n`;
}

/** Makes events until the signal. */
export type EventSource = (signal: AbortSignal) => AsyncGenerator<string, void, undefined>;

export interface EventStreams {
  /** Answers an operator with events. Refusal `rate_limited` where as many streams are open as may be, or as one may have. */
  send(
    operator: Operator,
    events: EventSource,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply>;
  /** Ends all of them. */
  close(): void;
  readonly open: number;
}

export interface StreamLimits {
  /** Streams at once (64). One operator has half of them: nobody alone shuts the others out. */
  readonly atMost?: number;
  /** A client that takes nothing for so long is cut off (30,000). */
  readonly stallMs?: number;
  /** A stream ends after so long, and its client comes again: with a key that may have been taken back (900,000). */
  readonly lifeMs?: number;
}

/** How long a client waits before it comes again, milliseconds. */
const RETRY_MS = 2000;
const PIECE = 64 * 1024;

export function createEventStreams({
  atMost = 64,
  stallMs = 30_000,
  lifeMs = 900_000,
}: StreamLimits = {}): EventStreams {
  const streams = new Map<AbortController, string>();
  const ofOne = Math.ceil(atMost / 2);

  /** What waits for a client is one piece here and one in the stream: the next is made when there is room for it. */
  async function* pieces(events: EventSource, stream: AbortController, cut: (error: Error) => void) {
    yield `retry: ${RETRY_MS}\n\n`;
    yield* takenWithin(stallMs, events(stream.signal), cut);
  }

  return {
    async send(operator, events, request, reply) {
      if (request.method === 'HEAD') return reply.type('text/event-stream').send();
      const who = nameOf(operator);
      const own = [...streams.values()].filter((one) => one === who).length;
      if (streams.size >= atMost || own >= ofOne) {
        reply.header('retry-after', '10');
        const open =
          streams.size >= atMost ? `${atMost} streams are open` : `${ofOne} streams of yours are open`;
        throw new Refusal('rate_limited', `${open}, which is as many as may be`);
      }
      const stream = new AbortController();
      streams.set(stream, who);
      const life = setTimeout(() => stream.abort(), lifeMs).unref();
      const body = Readable.from(
        pieces(events, stream, (error) => body.destroy(error)),
        { objectMode: false, highWaterMark: PIECE },
      );
      body.once('close', () => {
        clearTimeout(life);
        streams.delete(stream);
        stream.abort();
      });
      return reply.type('text/event-stream').header('x-accel-buffering', 'no').send(body);
    },
    close() {
      for (const stream of streams.keys()) stream.abort();
    },
    get open() {
      return streams.size;
    },
  };
}
