import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { DEVICE_GRANT } from '../../schema/api-access.ts';
import { type Answer, answerIn, cell } from '../answer.ts';
import { CliError } from '../exit.ts';

/** What a person is shown. Durations in seconds. */
export interface DeviceCode {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri: string;
  /** With the code in it; null where the control plane gives none. */
  readonly verification_uri_complete: string | null;
  readonly expires_in: number;
  readonly interval: number;
}

export interface DeviceToken {
  readonly token: string;
  /** Seconds. */
  readonly expires_in: number;
}

const PATIENCE_MS = 15_000;
/** RFC 8628, section 3.5: for good, each time. */
const SLOWER_S = 5;
/** After a poll that got no answer: doubled each time, up to this. */
const LONGEST_WAIT_S = 60;

/** What this program calls itself to whoever approves it: the pattern allows no control or format characters. */
export function clientName(): string {
  return `lemma on ${hostname().replaceAll(/[^\x20-\x7e]/g, '?')}`.slice(0, 100);
}

/** RFC 8628, section 3.1. */
export async function askForCode(base: string, client: string, scope: string): Promise<DeviceCode> {
  const body = { client_id: client, scope };
  const answer = await post(base, '/api/auth/device/code', body);
  const code = {
    device_code: cell(answer.device_code),
    user_code: cell(answer.user_code),
    verification_uri: cell(answer.verification_uri),
    verification_uri_complete: cell(answer.verification_uri_complete) || null,
    expires_in: Number(answer.expires_in),
    interval: Number(answer.interval ?? SLOWER_S),
  };
  if (code.device_code !== '' && code.user_code !== '' && code.expires_in > 0) return code;
  throw new CliError('answer_invalid', `${base} gave no device code`);
}

/**
 * RFC 8628, sections 3.4 and 3.5: asks every `interval` seconds, more slowly when told so or when nobody answers, until
 * somebody has said yes or no. Throws CliError: `access_denied`, `expired_token`, `interrupted`.
 */
export async function awaitApproval(
  base: string,
  client: string,
  code: DeviceCode,
  signal: AbortSignal,
): Promise<DeviceToken> {
  const body = { grant_type: DEVICE_GRANT, device_code: code.device_code, client_id: client };
  const until = Date.now() + code.expires_in * 1000;
  let interval = code.interval;
  let pause = interval;
  while (Date.now() + pause * 1000 < until) {
    await wait(pause * 1000, undefined, { signal }).catch(() => {
      throw new CliError('interrupted', 'nobody is waited for any more: the code was not used');
    });
    pause = interval;
    try {
      const answer = await post(base, '/api/auth/device/token', body);
      return { token: cell(answer.access_token), expires_in: Number(answer.expires_in) };
    } catch (error) {
      const why = error instanceof CliError ? error.code : null;
      if (why === 'slow_down') interval = pause = interval + SLOWER_S;
      else if (why === 'unreachable' || why === 'rate_limited') pause = Math.min(2 * pause, LONGEST_WAIT_S);
      else if (why !== 'authorization_pending') throw error;
    }
  }
  throw new CliError('expired_token', `nobody approved ${code.user_code} in time: begin again`);
}

async function post(base: string, path: string, body: object): Promise<Answer> {
  const response = await fetch(`${base}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify(body),
    redirect: 'error',
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).catch((error: unknown) => {
    const cause =
      error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new CliError('unreachable', `no answer from ${base} (${cause}): --api-base <url> names another`);
  });
  const { ok, status, url } = response;
  return answerIn(await response.json().catch(() => null), { ok, status, from: url });
}
