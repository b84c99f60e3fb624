import { ApiError, open } from './api.ts';

/** One server-sent event (WHATWG HTML, 9.2.6) that has data. */
export interface StreamEvent {
  readonly event: string;
  readonly data: string;
}

export type StreamState = 'connecting' | 'live' | 'waiting' | 'refused';

export interface StreamOptions {
  readonly path: string;
  /** All events of one piece that came from the network: at 500 a second a page cannot draw for each. */
  readonly onEvents: (events: readonly StreamEvent[]) => void;
  readonly onState: (state: StreamState, error: ApiError | null) => void;
}

const RETRY = { first_ms: 500, most_ms: 15_000 } as const;
/**
 * The server says something at once, and then every 15 s. Where nothing comes for so long, something between here and there
 * keeps it back (a proxy that gathers whole answers), or the connection is dead and nobody said so.
 */
const SILENCE = { first_ms: 8_000, later_ms: 40_000 } as const;

/**
 * Follows a stream until it is closed. It comes again with `Last-Event-ID` after a break, so that nothing is lost; a refusal
 * of the API's (401, 403, 400) ends it. It is `live` once something came through, not when a connection was opened.
 */
export function follow({ path, onEvents, onState }: StreamOptions): () => void {
  const abort = new AbortController();
  let lastId = '';
  let wait: number = RETRY.first_ms;

  /** Gives whether the server ended it in order, as it does after a while, so that nothing is to be said of it. */
  async function once(): Promise<boolean> {
    const began = performance.now();
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE.first_ms);
    try {
      const headers = { accept: 'text/event-stream', ...(lastId === '' ? {} : { 'last-event-id': lastId }) };
      const response = await open(path, headers, AbortSignal.any([abort.signal, silence.signal]));
      const type = response.headers.get('content-type') ?? '';
      if (response.body === null || !type.startsWith('text/event-stream')) return false;
      const parser = createParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let first = true; ; first = false) {
        const { done, value } = await reader.read();
        if (done) return !first && performance.now() - began > RETRY.most_ms;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE.later_ms);
        if (first) onState('live', null);
        wait = RETRY.first_ms;
        const { events, id } = parser(value);
        if (id !== null) lastId = id;
        if (events.length > 0) onEvents(events);
      }
    } finally {
      clearTimeout(timer);
      // What was not an event stream has a body that nobody reads.
      silence.abort();
    }
  }

  async function run(): Promise<void> {
    while (!abort.signal.aborted) {
      let failed: ApiError | null = null;
      try {
        if (await once()) continue;
      } catch (error) {
        failed = error instanceof ApiError ? error : null;
        if (failed !== null && isRefusal(failed)) {
          onState('refused', failed);
          return;
        }
      }
      if (abort.signal.aborted) return;
      onState('waiting', failed);
      await pause(wait, abort.signal);
      wait = Math.min(wait * 2, RETRY.most_ms);
    }
  }

  onState('connecting', null);
  void run();
  return () => abort.abort();
}

/** An answer of the API's, in its own words; what a proxy says of streams is none. */
function isRefusal({ status, code }: ApiError): boolean {
  return status >= 400 && status < 500 && status !== 429 && code !== 'internal_error';
}

/** Takes text in any pieces; gives the events that are whole, and the last id among them. */
function createParser(): (text: string) => { events: StreamEvent[]; id: string | null } {
  let rest = '';
  let event = 'message';
  let data: string[] = [];
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    const events: StreamEvent[] = [];
    let id: string | null = null;
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) events.push({ event, data: data.join('\n') });
        event = 'message';
        data = [];
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon === -1 ? line : line.slice(0, colon);
      const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
      if (field === 'id') id = value;
      else if (field === 'event') event = value;
      else if (field === 'data') data.push(value);
    }
    return { events, id };
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener('online', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    // Online again: no reason to wait any longer.
    addEventListener('online', done);
  });
}
