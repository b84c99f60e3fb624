import { setTimeout as wait } from 'node:timers/promises';
import { member } from '../../../answer.ts';
import type { Call } from '../../../command.ts';
import { given } from '../../folder.ts';
import type { ContainedRuntime } from '../contain.ts';
import { readAt } from '../edit.ts';
import { allowedBy, deniedByUs, type LiveCanary, whileContained } from '../live.ts';
import type { ToolClass } from '../prove.ts';

export type GatewayProof =
  | { readonly state: 'absent' | 'refused'; readonly url: string; readonly message: string }
  | {
      readonly state: 'hooked' | 'not_hooked';
      readonly url: string;
      readonly denied: readonly LiveCanary[];
      /** Decision that let a call through OpenClaw happen once the runtime was active again. */
      readonly allowed: string | null;
    };

const USUAL_PORT = 18_789;
const ANSWER_MS = 20_000;
/** OpenClaw takes over a changed configuration by itself. */
const RELOAD_MS = 45_000;
const AGAIN_MS = 500;
/** Tools that only look, and need no arguments. */
const HARMLESS = 'session_status';

/** Canaries through a running OpenClaw, by its HTTP API. */
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

  const denied: LiveCanary[] = [];
  const hooked = await whileContained(call, identity, async () => {
    const until = Date.now() + RELOAD_MS;
    let look = await invoke(HARMLESS);
    while (deniedByUs(look.message) === null && Date.now() < until) {
      await wait(AGAIN_MS);
      look = await invoke(HARMLESS);
    }
    if (deniedByUs(look.message) === null) return false;
    for (const { id, canary } of classes.filter(({ tools }) => !tools.includes('*')))
      denied.push({ class: id, tool: canary, ...outcomeOf(await invoke(canary)) });
    return denied.every(({ outcome }) => outcome !== 'passed');
  });
  if (!hooked) return { state: 'not_hooked', url, denied, allowed: null };
  const asked = { agent: 'openclaw', tool: HARMLESS };
  const allowed = await allowedBy(firewall.channel, asked, () => invoke(HARMLESS));
  return { state: 'hooked', url, denied, allowed };
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

function outcomeOf({ message, type }: Invoked): Pick<LiveCanary, 'outcome' | 'decision_id'> {
  const ours = deniedByUs(message);
  if (ours !== null) return { outcome: 'denied', ...ours };
  return { outcome: type === 'not_found' ? 'unreachable' : 'passed', decision_id: null };
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
