import { setTimeout as wait } from 'node:timers/promises';
import { member } from '../../../answer.ts';
import type { Call } from '../../../command.ts';
import { controlApi } from '../../../control-api.ts';
import type { ControlChannel } from '../../control-channel.ts';
import { given } from '../../folder.ts';
import { decisionsAfter } from '../../verify.ts';
import type { ContainedRuntime } from '../contain.ts';
import { readAt } from '../edit.ts';
import type { ToolClass } from '../prove.ts';

/** How OpenClaw's own gateway answers for a class of tools. */
export interface GatewayCanary {
  readonly class: string;
  readonly tool: string;
  /** `denied`: by our hook; `unreachable`: its HTTP API does not offer the tool; `passed`: without our hook. */
  readonly outcome: 'denied' | 'unreachable' | 'passed';
  readonly decision_id: string | null;
}

export type GatewayProof =
  | { readonly state: 'absent' | 'refused'; readonly url: string; readonly message: string }
  | {
      readonly state: 'hooked' | 'not_hooked';
      readonly url: string;
      readonly denied: readonly GatewayCanary[];
      /** Decision that let a call through OpenClaw happen once the runtime was active again. */
      readonly allowed: string | null;
    };

const USUAL_PORT = 18_789;
const ANSWER_MS = 20_000;
/** OpenClaw takes over a changed configuration by itself. */
const RELOAD_MS = 45_000;
const AGAIN_MS = 500;
/** Records of low risk are written behind their answers. */
const LOG_MS = 5000;
/** Tools that only look, and need no arguments. */
const HARMLESS = 'session_status';

/**
 * Canaries through a running OpenClaw, by its HTTP API: while the agent's runtime is contained each class must be denied by
 * our hook, so that nothing is done; after that one that only looks must be allowed. The runtime is resumed whatever happens.
 */
export async function proveGateway(
  call: Call,
  config: string,
  { identity, firewall }: ContainedRuntime,
  classes: readonly ToolClass[],
): Promise<GatewayProof> {
  const url = `http://127.0.0.1:${portIn(config)}/tools/invoke`;
  const token = tokenIn(call, config);
  const invoke = (tool: string) => invokeTool(url, token, tool);
  // A name that no tool has: asks whether it is there, and whether we may.
  const first = await invoke('lemma_canary').catch(() => null);
  if (first === null) return { state: 'absent', url, message: 'no gateway of OpenClaw answers' };
  if (first.status === 401 || first.status === 403 || first.status === 429)
    return { state: 'refused', url, message: `the gateway refused us: ${first.status}` };

  const api = controlApi(call);
  const path = `/api/wallet/runtimes/${identity.runtime_id}`;
  const reason = 'canaries of lemma setup-openclaw';
  const denied: GatewayCanary[] = [];
  await api.post(`${path}/contain`, { reason });
  try {
    const until = Date.now() + RELOAD_MS;
    let look = await invoke(HARMLESS);
    while (!isOurs(look) && Date.now() < until) {
      await wait(AGAIN_MS);
      look = await invoke(HARMLESS);
    }
    if (!isOurs(look)) return { state: 'not_hooked', url, denied, allowed: null };
    for (const { id, canary } of classes.filter(({ tools }) => !tools.includes('*')))
      denied.push({ class: id, tool: canary, ...outcomeOf(await invoke(canary)) });
  } finally {
    await api.post(`${path}/resume`, { reason });
  }
  const state = denied.some(({ outcome }) => outcome === 'passed') ? 'not_hooked' : 'hooked';
  return { state, url, denied, allowed: await allowedBy(firewall.channel, () => invoke(HARMLESS)) };
}

/** The decision that let it happen, in our own log; null: there is none. */
async function allowedBy(channel: ControlChannel, act: () => Promise<unknown>): Promise<string | null> {
  const last = (await decisionsAfter(channel, 0)).at(-1)?.position ?? 0;
  await act();
  const until = Date.now() + LOG_MS;
  do {
    const fresh = await decisionsAfter(channel, last);
    const found = fresh.find(
      ({ verdict, path }) => verdict === 'allow' && path?.endsWith(`/${HARMLESS}`) === true,
    );
    if (found !== undefined) return found.decision_id;
    await wait(AGAIN_MS);
  } while (Date.now() < until);
  return null;
}

interface Invoked {
  readonly status: number;
  readonly type: string;
  readonly message: string;
}

async function invokeTool(url: string, token: string | null, tool: string): Promise<Invoked> {
  const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization },
    // No arguments: what should get past the hook has nothing to do.
    body: JSON.stringify({ tool, args: {} }),
    redirect: 'error',
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const body: unknown = await response.json().catch(() => null);
  const text = (name: string) => String(member(body, 'error', name) ?? '');
  return { status: response.status, type: text('type'), message: text('message') };
}

function isOurs({ message }: Invoked): boolean {
  return message.startsWith('Lemma: ');
}

function outcomeOf(invoked: Invoked): Pick<GatewayCanary, 'outcome' | 'decision_id'> {
  if (isOurs(invoked))
    return { outcome: 'denied', decision_id: /\bdec_[\w-]+/.exec(invoked.message)?.[0] ?? null };
  return { outcome: invoked.type === 'not_found' ? 'unreachable' : 'passed', decision_id: null };
}

function portIn(config: string): number {
  const port = readAt(config, ['gateway', 'port']);
  return typeof port === 'number' && Number.isInteger(port) ? port : USUAL_PORT;
}

/** A token that stands in the file itself, or in the environment; secrets kept elsewhere are not ours to read. */
function tokenIn({ env }: Call, config: string): string | null {
  for (const [variable, name] of [
    ['OPENCLAW_GATEWAY_TOKEN', 'token'],
    ['OPENCLAW_GATEWAY_PASSWORD', 'password'],
  ] as const) {
    const said = env[variable];
    if (given(said)) return said;
    const value = readAt(config, ['gateway', 'auth', name]);
    if (typeof value === 'string' && value !== '' && !value.includes('${')) return value;
  }
  return null;
}
