import { setTimeout as wait } from 'node:timers/promises';
import { publicKeyOf, randomBytes } from '#runtime';
import { toBase64url } from '../../../crypto/base64url.ts';
import { encodeCredential } from '../../../proof/issue.ts';
import type { CredentialJson } from '../../../schema/lemma.ts';
import { member } from '../../answer.ts';
import type { Call } from '../../command.ts';
import { type ControlApi, controlApi } from '../../control-api.ts';
import { CliError } from '../../exit.ts';
import type { ControlChannel } from '../control-channel.ts';
import { decisionIn } from '../verify.ts';
import type { ContainedRuntime, Identity, Reach } from './contain.ts';

/** Tools of an agent that do one kind of thing, and the one that stands for them in a canary. */
export interface ToolClass {
  readonly id: string;
  readonly tools: readonly string[];
  readonly canary: string;
}

/** What an agent's hook said to a call of a tool, before the call. */
export interface HookAnswer {
  readonly allowed: boolean;
  /** What the agent is told. */
  readonly message: string;
}

/** The hook as it is installed. `shown`: a credential in place of the one that lies there for the agent. */
export type Hook = (tool: string, shown: string | null) => Promise<HookAnswer>;

/** One canary, by the firewall's own log. */
export interface Canary {
  readonly verdict: string;
  readonly reason: string;
  readonly decision_id: string;
}

export interface ClassProof {
  readonly class: string;
  readonly tool: string;
  readonly allowed: Canary;
  readonly denied: Canary;
}

export interface HookProof {
  readonly classes: readonly ClassProof[];
  /** The throw-away runtime that was killed for it: the user's own stays alive. */
  readonly kill: { readonly runtime_id: string; readonly before: Canary; readonly after: Canary };
}

const PATIENCE_MS = 10_000;
const AGAIN_MS = 100;
/** Seconds that the throw-away runtime's proof lives. */
const SHORT_S = 300;

/**
 * Each class of tools is called once as the agent's runtime, which must be allowed, and once as a throw-away one that was killed,
 * which must be denied; before its kill it was allowed. The hook's word is held against the firewall's own log.
 *
 * @throws CliError `check_failed` with what was not as it must be
 */
export async function proveHook(
  call: Call,
  contained: ContainedRuntime,
  classes: readonly ToolClass[],
  hook: Hook,
): Promise<HookProof> {
  const { channel } = contained.firewall;
  const ask = async (tool: string, shown: string | null) => canary(channel, tool, await hook(tool, shown));
  const askAll = async (shown: string | null) => {
    const answers: HookAnswer[] = [];
    for (const { canary } of classes) answers.push(await hook(canary, shown));
    // Records may be written behind the answers: they are waited for together.
    return Promise.all(classes.map((one, i) => canary(channel, one.canary, answers[i] ?? NO_ANSWER)));
  };
  const allowed = await askAll(null);
  const trial = await throwAway(controlApi(call), contained.identity, contained.reach);
  const first = classes[0]?.canary ?? '';
  const before = await patient(
    () => ask(first, trial.header),
    ({ reason }) => reason !== 'runtime_unknown',
  );
  if (before.verdict !== 'allow')
    throw failed(`${trial.runtime_id} was denied before its kill: ${before.reason}`, before);
  await trial.kill();
  const after = await patient(
    () => ask(first, trial.header),
    ({ verdict }) => verdict === 'deny',
  );
  if (after.reason !== 'runtime_killed')
    throw failed(`${trial.runtime_id} was killed, and its next call was not denied by that`, after);
  const denied = await askAll(trial.header);
  const proofs = classes.map(({ id, canary: tool }, i) => ({
    class: id,
    tool,
    allowed: allowed[i] ?? NO_CANARY,
    denied: denied[i] ?? NO_CANARY,
  }));
  for (const { class: id, tool, allowed: leave, denied: refusal } of proofs) {
    if (leave.verdict !== 'allow') throw failed(`${tool} (${id}) was denied: ${leave.reason}`, leave);
    if (refusal.verdict !== 'deny') throw failed(`${tool} (${id}) was allowed to a killed runtime`, refusal);
  }
  return { classes: proofs, kill: { runtime_id: trial.runtime_id, before, after } };
}

const NO_ANSWER: HookAnswer = { allowed: false, message: 'nothing' };
const NO_CANARY: Canary = { verdict: 'none', reason: 'none', decision_id: '' };

/** Of a hook's answer; throws where the firewall's log says another thing than the hook. */
async function canary(channel: ControlChannel, tool: string, answer: HookAnswer): Promise<Canary> {
  const [id = ''] = /\bdec_[\w-]+/.exec(answer.message) ?? [];
  if (id === '') throw failed(`the hook of ${tool} told no decision: ${answer.message}`, {});
  const { verdict, reason, decision_id } = await decisionIn(channel, id);
  if ((verdict === 'allow') !== answer.allowed)
    throw failed(`the hook of ${tool} said ${answer.allowed ? 'yes' : 'no'}, and the log ${verdict}`, {
      decision_id,
    });
  return { verdict, reason, decision_id };
}

/** A node hears of a new runtime, or of a kill that is pending, a moment after its control plane. */
export async function patient(
  ask: () => Promise<Canary>,
  enough: (answer: Canary) => boolean,
): Promise<Canary> {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (enough(answer) || Date.now() > until) return answer;
    await wait(AGAIN_MS);
  }
}

/** A runtime beside the agent's own, for the kill. The one of the last time is known again, under its next epoch. */
export async function throwAway(api: ControlApi, { runtime_id: own, ...rest }: Identity, reach: Reach) {
  const runtime_id = `${own.slice(0, 58)}-check`;
  const path = `/api/wallet/runtimes/${runtime_id}`;
  const known = await api.get(path).catch((error: unknown) => {
    if (error instanceof CliError && error.code === 'not_found') return null;
    throw error;
  });
  if (member(known, 'runtime', 'status') === 'killed') {
    const taint_epoch = member(known, 'runtime', 'taint_epoch');
    await api.post(`${path}/reactivate`, { taint_epoch, reason: 'kill-to-deny check of a setup command' });
  }
  await api.post('/api/wallet/runtimes/bootstrap', { ...rest, runtime_id });
  const key = toBase64url(publicKeyOf(randomBytes(32)));
  const issued = await api.post('/api/wallet/runtimes/issue-proof', {
    ...{ runtime_id, key, ttl_s: SHORT_S },
    ...{ scope: reach.scope, audience: reach.audience },
  });
  return {
    runtime_id,
    header: encodeCredential(issued.credential as CredentialJson),
    kill: () => api.post(`${path}/kill`, { reason: 'kill-to-deny check of a setup command' }),
  };
}

export function failed(message: string, data: object): CliError {
  return new CliError('check_failed', message, undefined, { ...data });
}
