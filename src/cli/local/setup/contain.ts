import { decodeCredential } from '../../../proof/decode.ts';
import { scopeCovers, uncoveredScope } from '../../../proof/scope.ts';
import { checkTimes } from '../../../proof/time.ts';
import { Denial } from '../../../reason.ts';
import type { SetupState } from '../../../schema/local-state.ts';
import { type Call, textOption } from '../../command.ts';
import { CliError } from '../../exit.ts';
import { run as connect, firewallFor, type RunningFirewall } from '../../firewall-connect.ts';
import { run as startSession } from '../../session-start.ts';
import { findFirewall } from '../control-channel.ts';
import { dataFolder, given, homeFolder, namedDataFolder, openHome } from '../folder.ts';
import { ended, plainBase } from '../place.ts';
import { type RuntimeFiles, readProof, readRuntimeKey, runtimeFiles } from '../runtime-files.ts';
import { readFirewallState, readSession, readSetup, writeSetup } from '../state.ts';
import type { FirewallStatus } from '../status.ts';

/** Who an agent is here. */
export interface Identity {
  readonly runtime_id: string;
  readonly agent_id: string;
  readonly workspace_id: string;
}

export function identityOf(call: Call, agent: string): Identity {
  const { options, env } = call;
  const id = (option: string, variable: string | undefined, usual: string) => {
    const said = textOption(options, option) ?? variable;
    return given(said) ? said : usual;
  };
  return {
    runtime_id: id('runtimeId', env.LEMMA_RUNTIME_ID, agent),
    agent_id: id('agentId', env.LEMMA_AGENT_ID, agent),
    workspace_id: id('workspaceId', env.LEMMA_WORKSPACE_ID, 'default'),
  };
}

export function filesOf(call: Call, { runtime_id }: Identity): RuntimeFiles {
  return runtimeFiles(dataFolder(call), runtime_id);
}

/** What a proof must reach. */
export interface Reach {
  readonly scope: readonly string[];
  readonly audience: readonly string[];
}

export interface ContainedRuntime {
  readonly identity: Identity;
  readonly files: RuntimeFiles;
  readonly firewall: RunningFirewall;
  readonly reach: Reach;
  /** A proof was issued for it just now; false: the one that lay there is good. */
  readonly issued: boolean;
}

/**
 * The local firewall with what `serve` adds to it, and a proof that reaches that and the apis of low risk: signs in where it
 * must, starts or reloads, connects. A second time it changes nothing while the proof is good.
 *
 * @throws CliError; then the firewall serves what it served before
 */
export async function containRuntime(
  call: Call,
  identity: Identity,
  serve: (setup: SetupState) => SetupState,
  wanted: Reach,
): Promise<ContainedRuntime> {
  await signIn(call);
  const home = openHome(call);
  const before = readSetup(home);
  writeSetup(home, serve(before));
  let firewall: RunningFirewall | null;
  try {
    firewall = await firewallFor(call);
  } catch (error) {
    writeSetup(home, before);
    throw error;
  }
  if (firewall === null) {
    writeSetup(home, before);
    throw new CliError(
      'firewall_not_running',
      `no local firewall is running that follows this control plane: \`${call.program} start\` first`,
    );
  }
  const files = filesOf(call, identity);
  const low = firewall.status.apis.filter(({ risk }) => risk === 'low');
  const reach = unionOf([
    wanted,
    { scope: low.flatMap(({ scope }) => scope), audience: low.map(({ audience }) => audience) },
    // Another setup command may have gone before.
    stillServed(reachIn(files), readSetup(home), firewall.status),
  ]);
  const issued = !(await isGood(call, files, firewall.status, reach));
  if (issued) {
    const { runtime_id: runtimeId, agent_id: agentId, workspace_id: workspaceId } = identity;
    const asked = { ...call.options, runtimeId, agentId, workspaceId, ...reach };
    await connect({ ...call, options: asked }).catch((error: unknown) => {
      throw routesMissing(error, firewall.status, wanted);
    });
  }
  return { identity, files, firewall, reach, issued };
}

function unionOf(all: readonly Reach[]): Reach {
  const scope = new Set(all.flatMap((one) => one.scope));
  return { scope: [...scope], audience: [...new Set(all.flatMap((one) => one.audience))] };
}

/** What of it there still is: nobody is given a proof for what is gone. */
function stillServed(
  { scope, audience }: Reach,
  { agents, mcp }: SetupState,
  { apis }: FirewallStatus,
): Reach {
  const owners = [...agents.map(({ id }) => `tool.${id}.`), ...mcp.map(({ id }) => `mcp.${id}.`)];
  const audiences = new Set([
    ...agents.map((agent) => agent.audience ?? `http://${agent.id}.tool.localhost`),
    ...[...mcp, ...apis].flatMap((one) => one.audience ?? []),
  ]);
  const ofApi = (one: string) => apis.some((api) => api.scope.some((wanted) => scopeCovers(one, wanted)));
  return {
    scope: scope.filter((one) => ofApi(one) || owners.some((owner) => one.startsWith(owner))),
    audience: audience.filter((one) => audiences.has(one)),
  };
}

/** Of the proof that lies there, whether it has ended or not. */
function reachIn(files: RuntimeFiles): Reach {
  const proof = readProof(files);
  const texts = (value: unknown) => (Array.isArray(value) ? value.map(String) : []);
  const { scope, audience } = proof?.credential ?? {};
  return { scope: texts(scope), audience: texts(audience) };
}

/** A control plane elsewhere issues for its own routes alone: whoever runs it must name one. */
function routesMissing(
  error: unknown,
  { mode, control_plane }: FirewallStatus,
  { scope, audience }: Reach,
): unknown {
  const unknown = error instanceof CliError && /no route (?:has the audience|asks for)/.test(error.message);
  if (!unknown || mode !== 'node') return error;
  const routes = audience.map((origin) => {
    const { hostname } = new URL(origin);
    const scopes = scope.map((one) => one.replace(/\*$/, 'use')).join(', ');
    return `{ id: ${hostname}, host: ${hostname}, path: /**, methods: [POST], api: ${hostname}, action: tool.use, scope: [${scopes}], audience: ${origin}, risk: low }`;
  });
  return new CliError(
    'routes_missing',
    `${control_plane} issues no proof for ${audience.join(', ')}: have its routes name ${routes.join(', ')}`,
    undefined,
    { routes },
  );
}

/** Takes back what was added to the firewall; a running one hears of it. Gives whether there was any of it. */
export async function release(call: Call, serve: (setup: SetupState) => SetupState): Promise<boolean> {
  const home = homeFolder(call);
  const before = readSetup(home);
  const after = serve(before);
  if (after.agents.length === before.agents.length && after.mcp.length === before.mcp.length) return false;
  writeSetup(home, after);
  const found = await findFirewall(home);
  if (found?.running === true) await found.channel.post('/reload');
  return true;
}

/** With a control plane elsewhere that was named, and that nobody is signed in at, a browser approves this computer. */
async function signIn(call: Call): Promise<void> {
  const { env, options } = call;
  const named = textOption(options, 'apiBase') ?? env.LEMMA_BASE_URL;
  const keyed = [env.LEMMA_API_KEY, env.LEMMA_OPERATOR_KEY].some(given);
  if (!given(named) || keyed || namedDataFolder(call) !== null) return;
  const base = plainBase(named);
  const session = readSession(homeFolder(call));
  if (session?.api_base === base && !ended(session)) return;
  if (readFirewallState(homeFolder(call))?.control_plane === base) return;
  const { lines } = await startSession(call);
  for (const line of lines) call.terminal.note(line);
}

const GOOD_FOR_S = 300;

async function isGood(
  call: Call,
  files: RuntimeFiles,
  status: FirewallStatus,
  { scope, audience }: Reach,
): Promise<boolean> {
  const proof = readProof(files);
  if (proof === null || (await readRuntimeKey(files, call)) === null) return false;
  try {
    const links = decodeCredential(proof.header);
    checkTimes(links, Math.floor(Date.now() / 1000) + GOOD_FOR_S);
    const last = links.at(-1);
    if (last?.type !== 'runtime') return false;
    const { runtime_id, taint_epoch } = last.claims;
    const known = status.runtimes.find((runtime) => runtime.runtime_id === runtime_id);
    return (
      known?.status === 'active' &&
      known.taint_epoch === taint_epoch &&
      uncoveredScope(last.scope, scope) === null &&
      audience.every((one) => last.audience.includes(one))
    );
  } catch (error) {
    if (error instanceof Denial) return false;
    throw error;
  }
}
