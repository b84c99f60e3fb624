import type { Command } from 'commander';
import { type Answer, answerIn } from './answer.ts';
import type { Call } from './command.ts';
import { CliError } from './exit.ts';
import { DEFAULT_BASE, type Place, placeOf } from './local/place.ts';

/** The control plane as an operator's command calls it. */
export interface ControlApi {
  readonly base: string;
  /** Which credential is shown, for a person. */
  readonly as: string;
  get(path: string): Promise<Answer>;
  post(path: string, body: unknown): Promise<Answer>;
  /** A streamed answer. The whole of it may take as long as it takes. */
  stream(path: string): Promise<ReadableStream<Uint8Array>>;
  /** Server-sent events, after the last one that was seen (null: from now on). */
  events(path: string, last: string | null, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  /** A file that is made for this call. It says how long it is. */
  download(path: string): Promise<{ readonly body: ReadableStream<Uint8Array>; readonly bytes: number }>;
}

export { type Answer, cell, member } from './answer.ts';

const PATIENCE_MS = 15_000;

/** `--api-base` and `--data`, which say where the control plane is and where its operator key. */
export function defineControlOptions(command: Command): void {
  command.option(
    '--api-base <url>',
    `The control plane (default: LEMMA_BASE_URL, the local firewall's, the session's, ${DEFAULT_BASE})`,
  );
  command.option(
    '--data <folder>',
    'Folder with keys and proofs (default: ./.lemma where it is, else ~/.lemma)',
  );
}

/** Which control plane, and with what: see `placeOf`. Throws CliError where the base is no place for a key, or there is none. */
export function controlApi(call: Call): ControlApi {
  const place = placeOf(call);
  if (place.stored && !call.json) call.terminal.note(`(${place.base}, with ${place.as})`);
  return controlApiAt(place, call);
}

/** The same at a place that is known already. */
export function controlApiAt(
  { base, token, as }: Omit<Place, 'stored'>,
  call: Pick<Call, 'program'>,
): ControlApi {
  const headers = { authorization: `Bearer ${token}`, accept: 'application/json' };
  const ask = async (path: string, init: RequestInit) => {
    const response = await send(base, path, { ...init, signal: AbortSignal.timeout(PATIENCE_MS) }, call);
    return answerOf(response).catch((error: unknown) => {
      throw refusedAs(error, as);
    });
  };
  return {
    base,
    as,
    get: (path) => ask(path, { headers }),
    post: (path, body) =>
      ask(path, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    stream: async (path) => {
      const init = { headers: { ...headers, accept: 'application/x-ndjson' } };
      return bodyOf(await send(base, path, init, call));
    },
    events: async (path, last, signal) => {
      const resume = last === null ? {} : { 'last-event-id': last };
      const init = { headers: { ...headers, accept: 'text/event-stream', ...resume }, signal };
      return bodyOf(await send(base, path, init, call));
    },
    download: async (path) => {
      const init = { method: 'POST', headers: { ...headers, accept: 'application/vnd.sqlite3' } };
      const response = await send(base, path, init, call);
      const body = await bodyOf(response);
      return { body, bytes: Number(response.headers.get('content-length')) };
    },
  };
}

/** Who is refused must know as whom he asked. */
function refusedAs(error: unknown, as: string): unknown {
  if (!(error instanceof CliError) || !['auth_required', 'forbidden'].includes(error.code)) return error;
  return new CliError(error.code, `${error.message} (asked with ${as})`, error.exit, { ...error.data, as });
}

async function send(
  base: string,
  path: string,
  init: RequestInit,
  call: Pick<Call, 'program'>,
): Promise<Response> {
  try {
    // A redirect would carry the key elsewhere.
    return await fetch(`${base}${path}`, { ...init, redirect: 'error' });
  } catch (error) {
    const cause =
      error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new CliError(
      'unreachable',
      `no answer from ${base} (${cause}): is it running (\`${call.program} start\`, \`${call.program} serve\`)? Another place: --api-base <url>`,
    );
  }
}

async function bodyOf(response: Response): Promise<ReadableStream<Uint8Array>> {
  if (!response.ok || response.body === null) await answerOf(response);
  if (response.body === null) throw new CliError('answer_invalid', `${response.url} answered with nothing`);
  return response.body;
}

async function answerOf(response: Response): Promise<Answer> {
  const { ok, status, url } = response;
  return answerIn(await response.json().catch(() => null), { ok, status, from: url });
}
