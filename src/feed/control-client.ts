import { decodeEvent, type Position, type SignedEvent } from './feed.ts';
import { FeedError } from './statement.ts';

/** The control plane as its decision nodes call it. Nothing that it answers is verified here. */
export interface ControlClient {
  /** Rejects with ControlError where there is no answer within `ms`, or another than 200. */
  get(path: string, ms: number): Promise<unknown>;
  post(path: string, body: unknown, ms: number): Promise<unknown>;
  bytes(path: string, ms: number): Promise<Uint8Array>;
  /** Hands over each event as it comes; ends, or rejects, with the connection. `open`: it listens. */
  events(
    from: Position,
    heard: (event: SignedEvent) => void,
    open: () => void,
    signal: AbortSignal,
  ): Promise<void>;
}

/** The control plane cannot be reached, or refuses. `code` is its error's, or `unreachable`. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const PATH = '/api/wallet/nodes';
/** A line of an event is far shorter. */
const LONGEST_LINE = 4 * 1024 * 1024;

/** `base`: the control listener's origin. `token`: read anew for each call, so that a renewed one counts. */
export function createControlClient(base: string, token: () => string): ControlClient {
  async function ask(path: string, init: RequestInit): Promise<Response> {
    const headers = { ...init.headers, authorization: `Bearer ${token()}` };
    let response: Response;
    try {
      // A redirect would carry the key elsewhere.
      response = await fetch(`${base}${PATH}${path}`, { ...init, headers, redirect: 'error' });
    } catch (error) {
      throw unreachable(base, error);
    }
    if (response.ok) return response;
    const said = record(await response.json().catch(() => null));
    throw new ControlError(
      String(said.error ?? 'refused'),
      String(said.message ?? `${base} answered ${response.status}`),
    );
  }

  async function json(path: string, init: RequestInit): Promise<unknown> {
    const response = await ask(path, init);
    try {
      return await response.json();
    } catch (error) {
      throw unreachable(base, error);
    }
  }

  return {
    get: (path, ms) => json(path, { signal: AbortSignal.timeout(ms) }),
    post: (path, body, ms) =>
      json(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(ms),
      }),
    async bytes(path, ms) {
      const response = await ask(path, { signal: AbortSignal.timeout(ms) });
      return new Uint8Array(await response.arrayBuffer());
    },
    async events({ epoch, seq }, heard, open, signal) {
      const response = await ask(`/events?epoch=${epoch}&after=${seq}`, { signal });
      if (response.body === null) throw new ControlError('unreachable', `${base} sends no events`);
      open();
      let left = '';
      for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
        const lines = (left + text).split('\n');
        left = lines.pop() ?? '';
        if (left.length > LONGEST_LINE) throw new FeedError('malformed', 'an event without an end');
        for (const line of lines) if (line !== '') heard(decodeEvent(line));
      }
    },
  };
}

export function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function unreachable(base: string, error: unknown): ControlError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
  return new ControlError('unreachable', `no answer from ${base} (${cause})`);
}
