import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import type { UploadState } from './alerts.ts';
import type { DecisionLog } from './log.ts';
import { type OpaEvent, opaEvent, withoutInput } from './opa-event.ts';

/** Where the log goes, in the words of OPA's configuration. */
export interface UploadTarget {
  /** Without a slash at its end; events go to `<url>/logs[/<partition_name>]`. */
  readonly url: string;
  readonly partition_name: string | null;
  /** Gives the bearer token, read anew for each upload; null: none is asked for. Throws where it cannot be read. */
  readonly token: () => string | null;
  readonly min_delay_ms: number;
  readonly max_delay_ms: number;
  /** Of a compressed upload. */
  readonly size_limit_bytes: number;
  readonly timeout_ms: number;
}

export interface UploadOptions {
  readonly target: UploadTarget;
  readonly store: Pick<Store, 'streamRecords' | 'putDocument' | 'getDocument' | 'logEnd'>;
  readonly log: Pick<DecisionLog, 'onRecord'>;
  /** Whose document the position is. */
  readonly home: Tenant;
  readonly clock: () => number;
  readonly version: string;
  readonly random?: () => number;
  readonly onError: (error: unknown, doing: string) => void;
  readonly onRecovered: () => void;
}

export interface Upload {
  state(): UploadState & { readonly uploaded: number; readonly refused: number };
  /** Ends the upload that is under way; what was not acknowledged goes after the next start. */
  close(): Promise<void>;
}

const UPLOAD_KIND = 'decision-log-upload';
const PAGE = 200;
/** Events that are made in one turn of the event loop. */
const EVENTS_AT_ONCE = 25;
/** Bytes before compression that may come to a limit after it; learned from what comes out. */
const RATIO_AT_FIRST = 6;
const pack = promisify(gzip);

/** The receiver did not take it, and may later. */
class NotTaken extends Error {
  override readonly name = 'NotTaken';
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs = 0) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** 413. */
class TooLarge extends Error {
  override readonly name = 'TooLarge';
}

/**
 * Uploads the decision log as OPA does: gzip JSON arrays of events. It reads the log by position, from where the receiver
 * last acknowledged, and keeps that position in the store: each record arrives at least once, whatever ends in between, as
 * long as `log.keep` keeps it. Nothing waits for it; a receiver that is slow or away finds the log where it is.
 */
export function startUpload(options: UploadOptions): Upload {
  const { target, store, log, home, clock, version, onError, onRecovered } = options;
  const random = options.random ?? Math.random;
  const resource = `${target.url}/logs${target.partition_name === null ? '' : `/${encodeURIComponent(target.partition_name)}`}`;
  const ending = new AbortController();
  const state = {
    position: 0,
    version: 0,
    end: 0,
    failingSince: null as number | null,
    error: null as string | null,
  };
  const counts = { uploaded: 0, refused: 0 };
  let ratio = RATIO_AT_FIRST;
  /** Smaller than the limit once the receiver has said that even less is too much. */
  let limit = target.size_limit_bytes;
  let come = Promise.withResolvers<void>();

  const unsubscribe = log.onRecord(() => {
    state.end += 1;
    come.resolve();
  });

  async function load(): Promise<void> {
    const kept = await store.getDocument(UPLOAD_KIND, resource);
    state.version = kept?.version ?? 0;
    state.position = positionIn(kept?.body);
    state.end = Math.max(state.end, (await store.logEnd()).position);
  }

  async function keep(position: number): Promise<void> {
    state.position = position;
    const document = { ...home, kind: UPLOAD_KIND, id: resource, expires_at: null, body: { position } };
    state.version = await store.putDocument({ ...document, version: state.version });
  }

  async function run(): Promise<void> {
    let failures = 0;
    let loaded = false;
    while (!ending.signal.aborted) {
      try {
        if (!loaded) await load();
        loaded = true;
        come = Promise.withResolvers();
        await drain();
        if (failures > 0) onRecovered();
        failures = 0;
        Object.assign(state, { failingSince: null, error: null });
        if (!ending.signal.aborted) await come.promise;
        await pause(target.min_delay_ms, ending.signal);
      } catch (error) {
        if (ending.signal.aborted) return;
        // What the store knows is read again: a write of it may have been what failed.
        if (!(error instanceof NotTaken)) loaded = false;
        failures += 1;
        state.failingSince ??= clock();
        state.error = error instanceof Error ? error.message : String(error);
        if (failures === 1)
          onError(error, `uploading the decision log to ${resource}: trying again until it is taken`);
        const backoff = Math.min(
          target.max_delay_ms,
          Math.max(100, target.min_delay_ms) * 2 ** Math.min(failures - 1, 20),
        );
        const asked = error instanceof NotTaken ? Math.min(error.retryAfterMs, target.max_delay_ms) : 0;
        // Full jitter over the upper half: receivers that come back are not met by all senders at once.
        await pause(Math.max(asked, backoff * (0.5 + random() / 2)), ending.signal);
      }
    }
  }

  async function drain(): Promise<void> {
    for (let done = false; !done && !ending.signal.aborted; ) {
      const page = await store.streamRecords('any', state.position, PAGE);
      const events: { readonly position: number; readonly json: string; readonly event: OpaEvent }[] = [];
      for (const [index, { line, position }] of page.records.entries()) {
        if (index % EVENTS_AT_ONCE === 0) await turn();
        const event = opaEvent(line, version);
        events.push({ position, event, json: JSON.stringify(event) });
      }
      for (let at = 0; at < events.length; ) {
        let bytes = 0;
        let count = 0;
        for (; at + count < events.length; count++) {
          bytes += events[at + count]?.json.length ?? 0;
          if (count > 0 && bytes > limit * ratio) break;
        }
        const chunk = events.slice(at, at + count);
        await send(chunk);
        await keep(chunk.at(-1)?.position ?? state.position);
        counts.uploaded += chunk.length;
        at += count;
      }
      if (page.records.length === 0 && page.next > state.position) await keep(page.next);
      done = page.done;
    }
    state.end = state.position;
  }

  /** Sends them all, in as many uploads as it takes. */
  async function send(chunk: readonly { readonly json: string; readonly event: OpaEvent }[]): Promise<void> {
    const [only] = chunk;
    if (only === undefined) return;
    const plain = `[${chunk.map(({ json }) => json).join(',')}]`;
    const body = await pack(plain);
    ratio = Math.max(1, Math.min(20, plain.length / body.length));
    if (body.length <= limit || chunk.length === 1) {
      try {
        await post(body);
        return;
      } catch (error) {
        if (!(error instanceof TooLarge)) throw error;
        if (chunk.length > 1) limit = Math.max(1024, Math.floor(body.length / 2));
      }
    }
    if (chunk.length > 1) {
      const half = Math.ceil(chunk.length / 2);
      await send(chunk.slice(0, half));
      await send(chunk.slice(half));
    } else await sendLess(only.event);
  }

  /** One event that is too much alone goes without its input; one that is too much even so is counted, and told. */
  async function sendLess(event: OpaEvent): Promise<void> {
    try {
      await post(await pack(JSON.stringify([withoutInput(event)])));
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
      counts.refused += 1;
      onError(
        new Error(`${event.decision_id} is too large for ${resource}, even without its input`),
        'left out of the upload',
      );
    }
  }

  async function post(body: Uint8Array): Promise<void> {
    const token = target.token();
    let response: Response;
    try {
      response = await fetch(resource, {
        method: 'POST',
        body,
        // A redirect would carry the log and the token elsewhere.
        redirect: 'error',
        headers: {
          'content-type': 'application/json',
          'content-encoding': 'gzip',
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        },
        signal: AbortSignal.any([ending.signal, AbortSignal.timeout(target.timeout_ms)]),
      });
    } catch (error) {
      const cause =
        error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new NotTaken(cause);
    }
    // Its connection is used again; what it says beside the status is nobody's.
    await response.body?.cancel().catch(() => undefined);
    if (response.ok) return;
    if (response.status === 413) throw new TooLarge('413');
    throw new NotTaken(`status ${response.status}`, retryAfter(response.headers.get('retry-after')));
  }

  const running = run();
  return {
    state: () => ({
      behind: Math.max(0, state.end - state.position),
      failing_since: state.failingSince,
      error: state.error,
      ...counts,
    }),
    async close() {
      unsubscribe();
      ending.abort();
      come.resolve();
      await running;
    },
  };
}

function positionIn(body: unknown): number {
  const position = typeof body === 'object' && body !== null && 'position' in body ? body.position : 0;
  return typeof position === 'number' && Number.isSafeInteger(position) && position > 0 ? position : 0;
}

/** Milliseconds of a Retry-After in seconds (RFC 9110, 10.2.3); 0 for none and for a date. */
function retryAfter(value: string | null): number {
  return value !== null && /^\d{1,6}$/.test(value) ? Number(value) * 1000 : 0;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal, ref: false }).catch(() => undefined);
}
