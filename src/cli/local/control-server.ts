import { randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { sha256 } from '#runtime';
import { ConfigError } from '../../config/error.ts';
import { InputError } from '../../reason.ts';
import { REPLAY_BODY_LIMIT } from '../../schema/api-replay.ts';
import { bindSocket } from '../../server/socket.ts';
import { CliError } from '../exit.ts';

/**
 * The local firewall's control channel: HTTP and JSON on a unix socket (0600) or a named pipe, never on the port that
 * agents reach. Whoever calls shows the secret that lies beside the socket, and is no web page.
 */

export const CONTROL_HOST = 'lemma-control';
export const CONTROL_SECRET = 'x-lemma-control-secret';

/** What may be asked; each answer is the body, without `success`. */
export interface ControlTarget {
  status(): object;
  /** Called once the answer is on its way. */
  stop(): void;
  /** Rejects with InputError, ConfigError. */
  reload(): Promise<object>;
  /** After the last `position` that was seen; 0: from the oldest that is kept. */
  decisions(after: number): object;
  /** A dry run of decisions. Rejects with InputError. */
  replay(body: unknown): Promise<object>;
  /** Asks the control plane, as the operator whose credential the firewall has; gives its status and body. */
  ask(method: 'GET' | 'POST', path: string, body?: unknown): Promise<{ status: number; body: object }>;
}

export interface ControlServer {
  close(): Promise<void>;
}

const LONGEST_BODY = 64 * 1024;
const RUNTIME = /^\/runtimes\/([a-z0-9][a-z0-9._-]{0,63})(?:\/(approve|taint|kill))?$/;

/**
 * `target` null: it is held, and not ready yet. The path is held by one process alone.
 *
 * @throws InputError (`control_channel`) where something else is at the path, or listens there
 */
export async function serveControl(
  path: string,
  secret: string,
  target: () => ControlTarget | null,
): Promise<ControlServer> {
  const expected = digestOf(secret);
  const server = createServer({ maxHeaderSize: 16 * 1024 }, (request, response) => {
    void answer(request, response, { expected, target });
  });
  const bind = () =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => resolve());
    });
  if (process.platform === 'win32') await bind();
  else await bindSocket({ path, mode: 0o600, field: 'control_channel' }, bind);
  return {
    async close() {
      // Node takes the socket's file away with it.
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      setTimeout(() => server.closeAllConnections(), 500).unref();
      await closed;
    },
  };
}

interface Guarded {
  readonly expected: Uint8Array;
  readonly target: () => ControlTarget | null;
}

interface Answered {
  readonly status: number;
  readonly body: object;
  readonly after?: () => void;
}

async function answer(request: IncomingMessage, response: ServerResponse, guarded: Guarded): Promise<void> {
  const { status, body, after } = await answerTo(request, guarded).catch(failed);
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    connection: 'close',
  });
  response.end(text, after);
}

async function answerTo(request: IncomingMessage, guarded: Guarded): Promise<Answered> {
  const { host, origin } = request.headers;
  if (host !== CONTROL_HOST) return refusal(403, 'forbidden', `Host must be ${CONTROL_HOST}`);
  if (origin !== undefined || request.headers['sec-fetch-site'] !== undefined)
    return refusal(403, 'forbidden', 'web pages are not served');
  const shown = request.headers[CONTROL_SECRET];
  if (typeof shown !== 'string' || !timingSafeEqual(digestOf(shown), guarded.expected))
    return refusal(401, 'auth_required', `${CONTROL_SECRET} must be what control.secret holds`);

  const target = guarded.target();
  if (target === null) return refusal(503, 'state_not_ready', 'the firewall is starting: ask again');
  const url = new URL(request.url ?? '', `http://${CONTROL_HOST}`);
  const runtime = RUNTIME.exec(url.pathname);
  const asked = `${request.method} ${runtime === null ? url.pathname : `/runtimes/…/${runtime[2] ?? ''}`}`;
  switch (asked) {
    case 'GET /status':
      return done(target.status());
    case 'POST /stop':
      return { ...done({ stopping: true }), after: () => target.stop() };
    case 'POST /reload':
      return done(await target.reload());
    case 'GET /decisions':
      return done(target.decisions(Number(url.searchParams.get('after') ?? 0) || 0));
    case 'POST /replay':
      return { status: 200, body: await target.replay(await bodyOf(request, REPLAY_BODY_LIMIT)) };
    case 'GET /runtimes/…/':
      return target.ask('GET', `/api/wallet/runtimes/${runtime?.[1]}`);
    case 'POST /runtimes/…/approve':
    case 'POST /runtimes/…/taint':
    case 'POST /runtimes/…/kill':
      return target.ask(
        'POST',
        `/api/wallet/runtimes/${runtime?.[1]}/${runtime?.[2]}`,
        await bodyOf(request),
      );
    default:
      return refusal(404, 'not_found', 'no such operation of the control channel');
  }
}

function done(body: object): Answered {
  return { status: 200, body: { success: true, ...body } };
}

function refusal(status: number, error: string, message: string): Answered {
  return { status, body: { success: false, error, message, request_id: randomUUID() } };
}

function failed(error: unknown): Answered {
  if (error instanceof InputError) return refusal(400, 'invalid_request', error.message);
  if (error instanceof ConfigError) return refusal(400, 'config_invalid', error.message);
  if (error instanceof CliError) return refusal(502, error.code, error.message);
  return refusal(500, 'internal_error', error instanceof Error ? error.message : String(error));
}

async function bodyOf(request: IncomingMessage, longest = LONGEST_BODY): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > longest) throw new InputError([{ field: '', message: `the body is over ${longest} bytes` }]);
    chunks.push(chunk as Buffer);
  }
  if (size === 0) return {};
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new InputError([{ field: '', message: 'the body is not JSON' }]);
  }
}

function digestOf(text: string): Uint8Array {
  return sha256(new TextEncoder().encode(text));
}
