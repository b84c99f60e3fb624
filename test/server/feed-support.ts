import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { signEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { exportItems } from '../../src/decision-log/export.ts';
import { type DecisionLog, openLog } from '../../src/decision-log/log.ts';
import { createTail, type TailOptions } from '../../src/decision-log/tail.ts';
import type { RecordBody } from '../../src/schema/decision.ts';
import { createEventStreams, type StreamLimits } from '../../src/server/event-streams.ts';
import { listen } from '../../src/server/http.ts';
import type { World } from '../authority/support.ts';
import { recordBody } from '../decision-log/fixture.ts';
import { AUTH, controlWorld, monitorOf } from './support.ts';

export const DECISIONS = '/api/wallet/runtimes/decisions';

/** A control plane on a port, with a real log behind it. */
export async function feedWorld(
  limits: StreamLimits & Pick<TailOptions, 'quietMs' | 'keep'> & { readonly exportStallMs?: number } = {},
) {
  let log: DecisionLog | undefined;
  const exported = Promise.withResolvers<void>();
  const streams = createEventStreams(limits);
  const control = await controlWorld((world) => {
    log = logOf(world);
    const tail = createTail({ store: world.store, log, ...limits });
    return {
      monitor: { ...monitorOf(world), tail, streams },
      ...(limits.exportStallMs === undefined ? {} : { exportStallMs: limits.exportStallMs }),
      exportDecisions: async function* (tenant, { filters, after }) {
        try {
          yield* exportItems(world.store, tenant, filters, after);
        } finally {
          exported.resolve();
        }
      },
    };
  });
  const server = await listen(control.app, '127.0.0.1:0', 'listen.control');
  const base = `http://${server.address}`;
  let made = 0;

  /** Writes so many records, and waits until they are on disk. Gives their ids. */
  async function decide(count: number, over: Partial<RecordBody> = {}): Promise<string[]> {
    const ids = Array.from({ length: count }, () => `d${++made}`);
    const written = ids.map((decision_id) =>
      log?.append(recordBody({ ...over, decision_id }), { durable: true }),
    );
    await Promise.all(written);
    return ids;
  }

  return {
    control,
    streams,
    /** Once an export has ended, however that was. */
    exported: exported.promise,
    base,
    decide,
    get: (path: string, headers: Record<string, string> = {}) =>
      fetch(`${base}${path}`, { headers: { ...AUTH, ...headers } }),
    open: (path: string, headers: Record<string, string> = {}) =>
      openStream(`${base}${path}`, { ...AUTH, ...headers }),
    async close() {
      await server.close();
      await log?.close();
      await control.world.close();
    },
  };
}

export type FeedWorld = Awaited<ReturnType<typeof feedWorld>>;

function logOf({ store }: World): DecisionLog {
  return openLog({
    store,
    node: 'n1',
    key: () => ({ keyid: 'k', sign: (bytes) => toBase64url(signEd25519(bytes, new Uint8Array(32))) }),
    clock: Date.now,
  });
}

export interface Seen {
  readonly id: string | null;
  readonly event: string | null;
  readonly data: string | null;
}

/** An event stream over a connection of its own, read line by line as the specification says, and only when asked. */
export interface OpenStream {
  readonly response: IncomingMessage;
  /** The next event that `wanted` takes; those before it are passed over. Throws when the stream ends. */
  next(wanted?: (event: Seen) => boolean): Promise<Seen>;
  /** Ids of the decisions of the next so many `decision` events. */
  decisions(count: number): Promise<string[]>;
  /** Resolves when the other side has ended it. */
  ended(): Promise<void>;
  close(): void;
}

export async function openStream(url: string, headers: Record<string, string>): Promise<OpenStream> {
  const asked: ClientRequest = request(url, { headers, agent: false });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.setEncoding('utf8');
  asked.on('error', () => undefined);
  const chunks = response[Symbol.asyncIterator]();
  let text = '';

  async function block(): Promise<string> {
    for (;;) {
      const end = text.indexOf('\n\n');
      if (end !== -1) {
        const found = text.slice(0, end);
        text = text.slice(end + 2);
        return found;
      }
      const { done, value } = await chunks.next();
      if (done === true) throw new Error('the stream has ended');
      text += value;
    }
  }

  async function next(wanted: (event: Seen) => boolean = () => true): Promise<Seen> {
    for (;;) {
      const found = seenIn(await block());
      if (wanted(found)) return found;
    }
  }

  return {
    response,
    next,
    async decisions(count) {
      const ids: string[] = [];
      while (ids.length < count) {
        const { data } = await next(({ event }) => event === 'decision');
        ids.push((JSON.parse(data ?? '') as { decision_id: string }).decision_id);
      }
      return ids;
    },
    async ended() {
      try {
        for (;;) await block();
      } catch {
        return;
      }
    },
    close: () => asked.destroy(),
  };
}

function seenIn(block: string): Seen {
  const fields = new Map(
    block.split('\n').map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at), line.slice(at + 1).trimStart()] as const;
    }),
  );
  return {
    id: fields.get('id') ?? null,
    event: fields.get('event') ?? null,
    data: fields.get('data') ?? null,
  };
}
