import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { isLocal } from '../config/address.ts';
import { type Call, textOption } from './command.ts';
import { CliError, misuse } from './exit.ts';
import { dataFolder } from './local/folder.ts';

/** The control plane as an operator's command calls it. */
export interface ControlApi {
  readonly base: string;
  get(path: string): Promise<Answer>;
  post(path: string, body: unknown): Promise<Answer>;
  /** A streamed answer. The whole of it may take as long as it takes. */
  stream(path: string): Promise<ReadableStream<Uint8Array>>;
  /** Server-sent events, after the last one that was seen (null: from now on). */
  events(path: string, last: string | null, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  /** A file that is made for this call. It says how long it is. */
  download(path: string): Promise<{ readonly body: ReadableStream<Uint8Array>; readonly bytes: number }>;
}

export type Answer = Readonly<Record<string, unknown>>;

const DEFAULT_BASE = 'http://127.0.0.1:8080';
const PATIENCE_MS = 15_000;

/** `--api-base` and `--data`, which say where the control plane is and where its operator key. */
export function defineControlOptions(command: Command): void {
  command.option('--api-base <url>', `The control plane (default: LEMMA_BASE_URL, else ${DEFAULT_BASE})`);
  command.option(
    '--data <folder>',
    'Folder with keys and proofs (default: ./.lemma where it is, else ~/.lemma)',
  );
}

/** Throws CliError when the base is no place for a key, or there is no key. */
export function controlApi(call: Call): ControlApi {
  const base = baseOf(textOption(call.options, 'apiBase') ?? call.env.LEMMA_BASE_URL ?? DEFAULT_BASE);
  const headers = { authorization: `Bearer ${operatorKey(call)}`, accept: 'application/json' };
  const ask = async (path: string, init: RequestInit) => {
    const response = await send(base, path, { ...init, signal: AbortSignal.timeout(PATIENCE_MS) }, call);
    return answerOf(response);
  };
  return {
    base,
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

/** The operator key opens everything: it goes over TLS, or stays on this machine. */
function baseOf(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw misuse(`the control plane must be an http or https URL, not "${text}"`);
  }
  if (url.username !== '' || url.search !== '' || url.hash !== '') {
    throw misuse('the control plane must be a plain URL: no user, query or fragment');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol === 'http:' && !isLocal({ kind: 'tcp', host, port: 0 })) {
    throw misuse(`${url.origin} would get the operator key in the clear: use https`);
  }
  return `${url.origin}${url.pathname.replace(/\/$/, '')}`;
}

function operatorKey(call: Call): string {
  const given = call.env.LEMMA_OPERATOR_KEY?.trim();
  const key = given === undefined || given === '' ? keyInFile(call) : given;
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new CliError('operator_key_invalid', 'the operator key is empty or no key');
  return key;
}

function keyInFile(call: Call): string {
  const file = resolve(dataFolder(call), 'operator.key');
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    throw new CliError(
      'operator_key_missing',
      `no operator key at ${file}: run \`${call.program} serve\` in this folder first, or give --data <folder> or LEMMA_OPERATOR_KEY`,
    );
  }
}

async function send(base: string, path: string, init: RequestInit, call: Call): Promise<Response> {
  try {
    // A redirect would carry the key elsewhere.
    return await fetch(`${base}${path}`, { ...init, redirect: 'error' });
  } catch (error) {
    const cause =
      error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new CliError(
      'unreachable',
      `no answer from ${base} (${cause}): is \`${call.program} serve\` running? Another place: --api-base <url>`,
    );
  }
}

async function bodyOf(response: Response): Promise<ReadableStream<Uint8Array>> {
  if (!response.ok || response.body === null) await answerOf(response);
  if (response.body === null) throw new CliError('answer_invalid', `${response.url} answered with nothing`);
  return response.body;
}

async function answerOf(response: Response): Promise<Answer> {
  const answer: unknown = await response.json().catch(() => null);
  if (!isAnswer(answer)) {
    throw new CliError('answer_invalid', `${response.url} answered ${response.status} with no JSON object`);
  }
  if (response.ok && answer.success === true) return answer;
  const code = typeof answer.error === 'string' ? answer.error : 'answer_invalid';
  const message =
    typeof answer.message === 'string' ? answer.message : `refused with status ${response.status}`;
  throw new CliError(code, `${code}: ${message}`, undefined, {
    status: response.status,
    request_id: answer.request_id ?? null,
  });
}

function isAnswer(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A member of an answer by its names, or null. */
export function member(value: unknown, ...names: readonly string[]): unknown {
  return names.reduce<unknown>(
    (inner, name) =>
      typeof inner === 'object' && inner !== null && Object.hasOwn(inner, name)
        ? Reflect.get(inner, name)
        : null,
    value,
  );
}

/** For a table: text and numbers as they are, anything else as nothing. */
export function cell(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : '';
}
