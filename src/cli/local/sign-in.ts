import type { Permission } from '../../schema/access.ts';
import type { SessionState } from '../../schema/local-state.ts';
import { type Answer, member } from '../answer.ts';
import type { Call } from '../command.ts';
import { type ControlApi, controlApiAt } from '../control-api.ts';
import { CliError } from '../exit.ts';

/** What the laptop side does with a session: registering, stopping, approving, looking, and following state. */
export const LAPTOP_PERMISSIONS = [
  'runtimes.read',
  'runtimes.write',
  'runtimes.stop',
  'runtimes.approve',
  'decisions.read',
  'monitor.read',
  'nodes.connect',
] as const satisfies readonly Permission[];

interface Bearer {
  readonly kind: SessionState['kind'];
  readonly base: string;
  readonly token: string;
  readonly expires_at: string | null;
}

/**
 * Asks the control plane who a token is, and takes down its authority keys: a local firewall takes state that these sign, and
 * no other. Throws CliError: `auth_required` for a token that is none there.
 */
export async function describe(
  { kind, base, token, expires_at }: Bearer,
  call: Pick<Call, 'program'>,
): Promise<SessionState> {
  const as = kind === 'api_key' ? 'the API key' : 'the new session';
  const api = controlApiAt({ base, token, as }, call);
  const { operator } = await api.get('/api/wallet/session');
  const permissions = textsIn(member(operator, 'permissions'));
  return {
    v: 1,
    api_base: base,
    kind,
    token,
    operator: textIn(operator, 'id'),
    org: textIn(operator, 'org'),
    env: textIn(operator, 'env'),
    permissions,
    authority_keys: permissions.includes('nodes.connect') ? await authorityKeys(api) : [],
    created_at: new Date().toISOString(),
    expires_at,
  };
}

/** Believed because of the TLS, or the loopback, that they came over: they are pinned from then on. */
async function authorityKeys(api: ControlApi): Promise<string[]> {
  const answer: Answer = await api.get('/api/wallet/nodes/snapshot?node=new');
  const keys = member(answer, 'snapshot', 'keys');
  return Array.isArray(keys) ? keys.map((key) => textIn(key, 'kid')) : [];
}

function textIn(value: unknown, name: string): string {
  const text = member(value, name);
  if (typeof text === 'string') return text;
  throw new CliError('answer_invalid', `the control plane answered without ${name}`);
}

function textsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}

/** For people and machines: everything but the token. */
export function sessionShown({
  token: _,
  v: _v,
  ...session
}: SessionState): Omit<SessionState, 'token' | 'v'> {
  return session;
}
