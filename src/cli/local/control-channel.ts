import { request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { readSecret } from '../../authority/secret-file.ts';
import type { FirewallState } from '../../schema/local-state.ts';
import { type Answer, answerIn } from '../answer.ts';
import { CliError } from '../exit.ts';
import { CONTROL_HOST, CONTROL_SECRET } from './control-server.ts';
import { homeFiles } from './folder.ts';
import { readFirewallState } from './state.ts';

/** The local firewall as this machine's user calls it. Rejects with CliError: `unreachable`, or what it refused with. */
export interface ControlChannel {
  get(path: string): Promise<Answer>;
  post(path: string, body?: object): Promise<Answer>;
}

/** What `firewall.json` says, and whether it is true. */
export type FoundFirewall =
  | {
      readonly state: FirewallState;
      readonly running: true;
      readonly channel: ControlChannel;
      readonly status: Answer;
    }
  /** `silent`: something holds its socket and does not answer. */
  | { readonly state: FirewallState; readonly running: false; readonly silent: boolean };

const PATIENCE_MS = 15_000;
const PROBE_MS = 3000;

/** Null: nobody has started one, or it has tidied up. Throws CliError `state_invalid`, KeyFileError. */
export async function findFirewall(home: string): Promise<FoundFirewall | null> {
  const state = readFirewallState(home);
  if (state === null) return null;
  const secret = readSecret(homeFiles(home).secret);
  if (secret === null) return { state, running: false, silent: false };
  const channel = openChannel(state.control_channel, secret);
  try {
    const status = await channelGet(state.control_channel, secret, '/status', PROBE_MS);
    // Another's socket may have taken the path since.
    if (status.instance !== state.instance) return { state, running: false, silent: false };
    return { state, running: true, channel, status };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { state, running: false, silent: error.code !== 'unreachable' };
  }
}

/** The running one. Throws CliError `firewall_not_running`. */
export async function runningFirewall(home: string, program: string) {
  const found = await findFirewall(home);
  if (found?.running === true) return found;
  throw new CliError(
    'firewall_not_running',
    found === null
      ? `no local firewall is running: \`${program} start\``
      : `the local firewall (pid ${found.state.pid}) has gone without tidying up: \`${program} start\` starts it anew`,
  );
}

function openChannel(path: string, secret: string): ControlChannel {
  return {
    get: (target) => channelGet(path, secret, target, PATIENCE_MS),
    post: (target, body = {}) => ask(path, secret, { method: 'POST', target, body }, PATIENCE_MS),
  };
}

function channelGet(path: string, secret: string, target: string, ms: number): Promise<Answer> {
  return ask(path, secret, { method: 'GET', target }, ms);
}

interface Question {
  readonly method: 'GET' | 'POST';
  readonly target: string;
  readonly body?: object;
}

async function ask(socketPath: string, secret: string, question: Question, ms: number): Promise<Answer> {
  const { status, body } = await send(socketPath, secret, question, ms);
  return answerIn(body, { ok: status === 200, status, from: 'the local firewall' });
}

function send(
  socketPath: string,
  secret: string,
  { method, target, body }: Question,
  ms: number,
): Promise<{ status: number; body: unknown }> {
  const content = body === undefined ? '' : JSON.stringify(body);
  const headers = {
    host: CONTROL_HOST,
    [CONTROL_SECRET]: secret,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(content),
  };
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ socketPath, method, path: target, headers, agent: false });
    outgoing.setTimeout(ms, () => outgoing.destroy(new SilentError()));
    outgoing.once('error', (error) => reject(unreachable(error)));
    outgoing.once('response', (response) => void read(response).then(resolve, reject));
    outgoing.end(content);
  });
}

class SilentError extends Error {}

async function read(response: IncomingMessage): Promise<{ status: number; body: unknown }> {
  const said = await text(response);
  let body: unknown = null;
  try {
    body = JSON.parse(said);
  } catch {
    // `answerIn` says that it is no object.
  }
  return { status: response.statusCode ?? 0, body };
}

function unreachable(error: Error): CliError {
  const silent = error instanceof SilentError;
  return new CliError(
    silent ? 'silent' : 'unreachable',
    `the local firewall's control channel does not answer${silent ? ' in time' : ` (${error.message})`}`,
  );
}
