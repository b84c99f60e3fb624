import { createServer } from 'node:net';
import { join } from 'node:path';
import type { AppOptions, Live } from '../../app.ts';
import { readSecret } from '../../authority/secret-file.ts';
import { isLocal, parseAddress } from '../../config/address.ts';
import { type LoadedConfig, type LoadOptions, loadConfig } from '../../config/load.ts';
import { InputError } from '../../reason.ts';
import type { Config } from '../../schema/config.ts';
import type { BundleRef } from '../../schema/decision.ts';
import type { SessionState } from '../../schema/local-state.ts';
import { type Call, textOption } from '../command.ts';
import { CliError, misuse } from '../exit.ts';
import { httpBase } from '../next-steps.ts';
import { type Example, startExample } from './example.ts';
import { dataFolder, given, homeFolder } from './folder.ts';
import { ended, plainBase } from './place.ts';
import { describe } from './sign-in.ts';
import { readSession, readSetup } from './state.ts';

/** The local firewall, whichever way it gets its state. */
export interface Gateway {
  readonly mode: 'embedded' | 'node';
  /** As bound. */
  readonly listen: string;
  readonly controlPlane: string;
  readonly operatorKeyFile: string | null;
  readonly live: Live;
  readonly version: string;
  /** The credential that it asks its control plane with. */
  token(): string;
  reload(loaded: LoadedConfig): Promise<void>;
  reloadBundles(): Promise<readonly BundleRef[]>;
  stop(): Promise<void>;
}

export interface Plan {
  readonly loaded: LoadedConfig;
  /** What loaded it, to load it anew. */
  readonly options: LoadOptions;
  readonly mode: 'embedded' | 'node';
  /** The session, or API key, that it follows a control plane with; null: the configuration names a file. */
  readonly session: SessionState | null;
  /** Stands for the apis, where the configuration names none. */
  readonly example: Example | null;
}

type Output = Pick<AppOptions, 'output' | 'level'>;

/**
 * What is to be started: a node of the control plane that `--api-base`, LEMMA_BASE_URL, the configuration or the session
 * names; else everything in one process, which works without any configuration.
 *
 * @throws CliError, ConfigError
 */
export async function planGateway(call: Call): Promise<Plan> {
  const flags = {
    'firewall.listen': textOption(call.options, 'listen'),
    data: textOption(call.options, 'data'),
  };
  const named = { file: textOption(call.options, 'config'), flags, env: call.env, cwd: call.folder };
  // Flags would make a `firewall` of their own.
  const said = loadConfig({ ...named, flags: {} }).config;
  const session = await sessionFor(call, said);
  const mode =
    session !== null || (said.control !== null && call.options.embedded !== true) ? 'node' : 'embedded';
  const usual =
    mode === 'node'
      ? { data: join(homeFolder(call), 'node'), node: besideOf(said.node), ...identityOf(session) }
      : { data: dataFolder(call), 'listen.control': await controlAddress() };
  const example = said.firewall === null ? await startExample() : null;
  try {
    const apis = example === null ? {} : { 'firewall.apis': [example.api] };
    const additions = () => {
      const { agents, mcp } = readSetup(homeFolder(call));
      return { 'firewall.agents': agents, 'firewall.mcp': mcp };
    };
    const options: LoadOptions = { ...named, fallbacks: { ...usual, ...apis }, additions };
    const loaded = loadConfig(options);
    refuseOpen(loaded, mode);
    return { loaded, options, mode, session, example };
  } catch (error) {
    await example?.close();
    throw error;
  }
}

/** A name of its own: the control plane, or a decision node, may run on this machine under the machine's. */
function besideOf(machine: string): string {
  return `${machine.slice(0, 54)}-firewall`;
}

/** @throws InputError, located in the configuration as ConfigError */
export async function startGateway(plan: Plan, output: Output, call: Call): Promise<Gateway> {
  try {
    return plan.mode === 'node'
      ? await startFollowing(plan, output, call)
      : await startEmbedded(plan, output);
  } catch (error) {
    throw error instanceof InputError ? plan.loaded.locateError(error) : error;
  }
}

async function startEmbedded({ loaded }: Plan, output: Output): Promise<Gateway> {
  const { startApp, version } = await import('../../app.ts');
  const app = await startApp(loaded, { ...output, firewallOnly: true });
  return {
    mode: 'embedded',
    listen: app.addresses.firewall ?? '',
    controlPlane: httpBase(app.addresses.control, loaded.config.listen.control.tls !== null) ?? '',
    operatorKeyFile: app.operatorKeyFile,
    live: app.live,
    version: version(),
    token: () => readSecret(app.operatorKeyFile) ?? '',
    reload: app.reload,
    reloadBundles: app.reloadBundles,
    stop: app.stop,
  };
}

async function startFollowing({ loaded, session }: Plan, output: Output, call: Call): Promise<Gateway> {
  const url = loaded.config.control?.url ?? '';
  const file = loaded.config.control?.token_file ?? '';
  const token = () => {
    if (session === null) return readSecret(file) ?? '';
    // One that was renewed meanwhile is used from its next call on; what came by the environment is not stored.
    const stored = call.env.LEMMA_API_KEY?.trim() === session.token ? null : readSession(homeFolder(call));
    return (stored?.api_base === session.api_base ? stored : session).token;
  };
  const [{ startNode }, { version }] = await Promise.all([import('../../node.ts'), import('../../app.ts')]);
  const node = await startNode(loaded, {
    ...output,
    firewallOnly: true,
    ...(session === null ? {} : { token }),
  });
  return {
    mode: 'node',
    listen: node.addresses.firewall ?? '',
    controlPlane: url,
    operatorKeyFile: null,
    live: node.live,
    version: version(),
    token,
    reload: node.reload,
    // They come with the state that it follows.
    reloadBundles: async () => [],
    stop: node.stop,
  };
}

/** Null: none is wanted, or the configuration brings a token of its own. Throws CliError where one is wanted and not there. */
async function sessionFor(call: Call, { control }: Config): Promise<SessionState | null> {
  if (call.options.embedded === true) return null;
  const stored = readSession(homeFolder(call));
  const said = textOption(call.options, 'apiBase') ?? call.env.LEMMA_BASE_URL;
  const configured = control?.url === undefined || control.url === '' ? undefined : control.url;
  if (!given(said) && control !== null && control.token_file !== '') return null;
  const base = given(said) ? plainBase(said) : configured === undefined ? undefined : plainBase(configured);
  const key = call.env.LEMMA_API_KEY?.trim();
  if (base !== undefined && given(key))
    return able(await describe({ kind: 'api_key', base, token: key, expires_at: null }, call), call);
  if (stored !== null && (base === undefined || base === stored.api_base)) {
    if (!ended(stored)) return able(stored, call);
    throw new CliError(
      'session_expired',
      `the session at ${stored.api_base} ended at ${stored.expires_at}: \`${call.program} session start\`, or \`${call.program} start --embedded\` without it`,
    );
  }
  if (base === undefined) return null;
  throw new CliError(
    'session_missing',
    `nobody is signed in at ${base}: \`${call.program} session start --api-base ${base}\` first, or \`${call.program} login\` with an API key`,
  );
}

/** A node hears of every kill; that is for those who may. */
function able(session: SessionState, call: Call): SessionState {
  if (session.permissions.includes('nodes.connect') && session.authority_keys.length > 0) return session;
  throw new CliError(
    'forbidden',
    `the session of ${session.operator} at ${session.api_base} has no nodes.connect, which a firewall that follows it needs: have somebody with the platform role approve \`${call.program} session start\`, or make an API key with it`,
  );
}

function identityOf(session: SessionState | null): Readonly<Record<string, unknown>> {
  if (session === null) return {};
  const { org, env, api_base, authority_keys } = session;
  return { org, env, 'control.url': api_base, 'control.keys': authority_keys };
}

/** Agents, and the operator key, stay on this machine. */
function refuseOpen({ config }: LoadedConfig, mode: Plan['mode']): void {
  const wanted = [
    ['firewall.listen', config.firewall?.listen ?? ''],
    ...(mode === 'node' ? [] : [['listen.control', config.listen.control.address] as const]),
  ] as const;
  for (const [field, text] of wanted) {
    const address = parseAddress(text);
    if (address?.kind !== 'tcp' || !isLocal(address))
      throw misuse(
        `${field}: must be a port on loopback (127.0.0.1:8787), not ${text}; \`lemma serve\` is for others`,
      );
  }
}

/** The usual port is a popular one; commands here find another by `firewall.json`. */
async function controlAddress(): Promise<string> {
  const usual = '127.0.0.1:8080';
  const free = await new Promise<boolean>((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(8080, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
  return free ? usual : '127.0.0.1:0';
}
