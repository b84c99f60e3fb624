import { setTimeout as wait } from 'node:timers/promises';
import { signPop } from '../../proof/sign-pop.ts';
import { member } from '../answer.ts';
import { CliError } from '../exit.ts';
import type { ControlChannel } from './control-channel.ts';
import type { RecentDecision } from './recent.ts';
import type { FirewallStatus, StatusApi } from './status.ts';

/** What a request through the firewall came to, by its own log. */
export interface Tried {
  readonly status: number;
  readonly verdict: string;
  readonly reason: string;
  readonly decision_id: string;
}

export interface Verification {
  readonly method: string;
  readonly url: string;
  readonly without_proof: Tried;
  readonly with_proof: Tried;
}

interface Held {
  /** Value of X-Lemma-Credential. */
  readonly header: string;
  readonly seed: Uint8Array;
  readonly scope: readonly string[];
  readonly audience: readonly string[];
}

/** A node may hear of a new runtime a moment after its control plane. */
const PATIENCE_MS = 5000;
const AGAIN_MS = 100;
const ANSWER_MS = 15_000;

/** The api that a trial does least harm to: low risk, nothing tainted, and the proof reaches it. */
export function trialApi(status: FirewallStatus, held: Pick<Held, 'scope' | 'audience'>): StatusApi | null {
  const reached = status.apis.filter(
    (api) =>
      api.risk === 'low' &&
      !api.taint_on_response &&
      api.methods.some((method) => SAFE.includes(method)) &&
      held.audience.includes(api.audience) &&
      api.scope.every((scope) => held.scope.some((own) => covers(own, scope))),
  );
  return reached[0] ?? null;
}

/** RFC 9110 section 9.2.1; the one that brings no body first. */
const SAFE = ['HEAD', 'GET'];

function covers(own: string, scope: string): boolean {
  return own.endsWith('.*') ? scope.startsWith(own.slice(0, -1)) : own === scope;
}

/**
 * One request without a proof and one with, both as an agent would send them; the verdicts are read from the firewall's own
 * log, since an upstream could answer anything.
 *
 * @throws CliError `verification_failed`: it lets through what has no proof, or not what has one
 */
export async function verifyDecision(
  channel: ControlChannel,
  status: FirewallStatus,
  api: StatusApi,
  held: Held,
): Promise<Verification> {
  const method = SAFE.find((one) => api.methods.includes(one)) ?? 'GET';
  const url = `http://${status.listen}/firewall/${api.id}${api.path_prefixes[0] ?? '/'}`;
  const without_proof = await attempt(channel, method, url, {});
  if (without_proof.verdict !== 'deny')
    throw failed(`${method} ${url} was let through without a proof`, { without_proof });
  const signed = () =>
    signPop({ method, url, proof: held.header, seed: held.seed, created: Math.floor(Date.now() / 1000) });
  const until = Date.now() + PATIENCE_MS;
  let with_proof = await attempt(channel, method, url, signed());
  while (with_proof.reason === 'runtime_unknown' && Date.now() < until) {
    await wait(AGAIN_MS);
    with_proof = await attempt(channel, method, url, signed());
  }
  if (with_proof.verdict !== 'allow')
    throw failed(
      `${method} ${url} was denied with the new proof: ${with_proof.reason} (decision ${with_proof.decision_id})`,
      { without_proof, with_proof },
    );
  return { method, url, without_proof, with_proof };
}

async function attempt(
  channel: ControlChannel,
  method: string,
  url: string,
  headers: Record<string, string>,
): Promise<Tried> {
  let response: Response;
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    response = await fetch(url, { method, headers, redirect: 'manual', signal });
    await response.body?.cancel();
  } catch (error) {
    throw failed(`no answer from ${url}: ${error instanceof Error ? error.message : error}`, {});
  }
  const decision_id = response.headers.get('x-lemma-decision-id') ?? '';
  const decision = await decisionIn(channel, decision_id);
  return { status: response.status, verdict: decision.verdict, reason: decision.reason, decision_id };
}

/** Records of low risk are written behind their answers. */
export async function decisionIn(channel: ControlChannel, id: string): Promise<RecentDecision> {
  const until = Date.now() + PATIENCE_MS;
  while (id !== '' && Date.now() < until) {
    const found = (await decisionsAfter(channel, 0)).find(({ decision_id }) => decision_id === id);
    if (found !== undefined) return found;
    await wait(AGAIN_MS);
  }
  throw failed(`the firewall's log has no decision "${id}"`, {});
}

/** Those that the firewall remembers after a position, the oldest first. */
export async function decisionsAfter(channel: ControlChannel, position: number): Promise<RecentDecision[]> {
  const decisions = member(await channel.get(`/decisions?after=${position}`), 'decisions');
  return Array.isArray(decisions) ? (decisions as RecentDecision[]) : [];
}

function failed(message: string, data: Readonly<Record<string, unknown>>): CliError {
  return new CliError('verification_failed', message, undefined, data);
}
