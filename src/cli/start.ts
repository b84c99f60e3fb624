import type { Command } from 'commander';
import { randomBytes } from '#runtime';
import { createSecret, removeSecret } from '../authority/secret-file.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { toBase64url } from '../crypto/base64url.ts';
import { InputError } from '../reason.ts';
import { DEFAULT_FIREWALL } from '../schema/config.ts';
import type { FirewallState } from '../schema/local-state.ts';
import type { Call, Result } from './command.ts';
import { CliError, EXIT } from './exit.ts';
import { findFirewall } from './local/control-channel.ts';
import { type ControlTarget, serveControl } from './local/control-server.ts';
import { startDetached } from './local/detach.ts';
import { EXAMPLE_API } from './local/example.ts';
import { controlChannelPath, homeFiles, openHome } from './local/folder.ts';
import { type Gateway, type Plan, planGateway, startGateway } from './local/gateway.ts';
import { DEFAULT_BASE } from './local/place.ts';
import { rememberDecisions } from './local/recent.ts';
import { keepProofs } from './local/renew-proofs.ts';
import { type RuntimeFiles, runtimeFiles } from './local/runtime-files.ts';
import { readSetup, removeFirewallState, writeFirewallState } from './local/state.ts';
import { type Refused, statusOf } from './local/status.ts';
import { shown } from './next-steps.ts';
import { reloads } from './reloads.ts';
import { firstSignal, SIGNALS } from './signals.ts';
import { keepHeapSmall, optimiseEarly } from './v8-flags.ts';

const ASK_MS = 10_000;

export function define(command: Command): void {
  command
    .option('-c, --config <file>', 'Configuration file (default: lemma.yaml when it is there; LEMMA_CONFIG)')
    .option('--listen <address>', `Where agents reach it (default: firewall.listen, ${DEFAULT_FIREWALL})`)
    .option(
      '--api-base <url>',
      `The control plane to follow (default: LEMMA_BASE_URL, the session's; without one it has its own, ${DEFAULT_BASE})`,
    )
    .option('--embedded', 'With a control plane of its own, whatever session there is')
    .option('--data <folder>', 'Folder of its keys and database (default: as configured, ./.lemma, ~/.lemma)')
    .option('--detach', 'Go on in the background');
}

/** Runs until SIGTERM, SIGINT or `lemma stop`; with `--detach`, until the firewall is up. */
export async function run(call: Call): Promise<Result | null> {
  const home = openHome(call);
  await refuseSecond(call, home);
  if (call.options.detach === true) return startDetached(call, home);

  const signal = firstSignal();
  const plan = await planGateway(call);
  for (const warning of plan.loaded.warnings)
    call.terminal.note(call.terminal.styleNote('yellow', `warning: ${warning}`));
  const ends: Ends = [() => plan.example?.close()];
  try {
    const channel = await holdChannel(home, ends);
    const output = (line: string) => call.terminal.note(line);
    const level = call.terminal.interactive ? 'warn' : 'info';
    keepHeapSmall();
    const gateway = await startGateway(plan, { output, level }, call);
    ends.push(() => gateway.stop());
    optimiseEarly();
    const { asked } = openChannel(call, home, { plan, gateway, channel }, ends);
    const ended = await Promise.race([signal.then(() => 'signal'), asked]);
    if (!call.json) call.terminal.note(ended === 'signal' ? 'Stopping' : 'Stopping, as `lemma stop` asked');
  } finally {
    await tidyUp(ends);
  }
  return null;
}

type Ends = (() => unknown)[];

/** The last that was begun first. What fails keeps nothing else from being ended; whoever asks twice does not want to wait. */
async function tidyUp(ends: Ends): Promise<void> {
  const hurry = () => process.exit(EXIT.failed);
  for (const signal of SIGNALS) process.once(signal, hurry);
  const failures: unknown[] = [];
  for (const end of ends.reverse()) {
    try {
      await end();
    } catch (error) {
      failures.push(error);
    }
  }
  for (const signal of SIGNALS) process.off(signal, hurry);
  if (failures.length > 0) throw failures[0];
}

/** One local firewall of a user. What a killed one left behind is taken away, and said. Throws CliError `already_running`. */
async function refuseSecond(call: Call, home: string): Promise<void> {
  const found = await findFirewall(home);
  if (found === null) return;
  const { pid, listen } = found.state;
  if (found.running || found.silent)
    throw new CliError(
      'already_running',
      found.running
        ? `the local firewall is running already: pid ${pid}, on ${listen}; \`${call.program} stop\` ends it`
        : `the local firewall (pid ${pid}) holds its control channel and does not answer: end that process first`,
      undefined,
      { pid, listen },
    );
  if (!call.json) call.terminal.note(`The firewall of pid ${pid} has gone without tidying up: taken over`);
  removeFirewallState(home);
}

interface Channel {
  readonly path: string;
  readonly secret: string;
  /** From now on it is answered by this. */
  serve(target: ControlTarget): void;
}

/** Before anything else is opened: of two that start at once, one gets the channel. */
async function holdChannel(home: string, ends: Ends): Promise<Channel> {
  const path = controlChannelPath(home);
  const secret = toBase64url(randomBytes(32));
  let target: ControlTarget | null = null;
  const server = await serveControl(path, secret, () => target).catch((error: unknown) => {
    throw error instanceof InputError ? new CliError('already_running', error.message) : error;
  });
  ends.push(() => server.close());
  return {
    path,
    secret,
    serve(now) {
      target = now;
    },
  };
}

interface Parts {
  readonly plan: Plan;
  readonly gateway: Gateway;
  readonly channel: Channel;
}

/** Opens the control channel, then says in `firewall.json` where. `asked` resolves when the channel is told to stop. */
function openChannel(
  call: Call,
  home: string,
  { plan, gateway, channel }: Parts,
  ends: Ends,
): { asked: Promise<'asked'> } {
  const { secret: secretFile } = homeFiles(home);
  const state = stateOf(channel.path, plan, gateway);
  const { promise: asked, resolve: stop } = Promise.withResolvers<'asked'>();
  let { config } = plan.loaded;
  let refused: Refused = { configuration: null, bundles: null };
  const reload = async (loaded: LoadedConfig) => {
    await gateway.reload(loaded);
    ({ config } = loaded);
    refused = { ...refused, configuration: null };
  };
  const watch = reloads(call, { ...gateway, reload }, plan.loaded, plan.options, (what, why) => {
    refused = { ...refused, [what]: why };
  });
  ends.push(() => watch.close());
  const proofs = keepProofs(
    () => setUpRuntimes(home),
    gateway.controlPlane,
    (line) => call.terminal.note(line),
  );
  ends.push(() => proofs.close());
  const recent = rememberDecisions(gateway.live);
  channel.serve({
    status: () => statusOf({ state, config, live: gateway.live, counts: recent.counts(), refused }),
    stop: () => stop('asked'),
    async reload() {
      const loaded = loadConfig(plan.options);
      await reload(loaded).catch((error: unknown) => {
        throw error instanceof InputError ? loaded.locateError(error) : error;
      });
      return { revision: loaded.revision };
    },
    decisions: recent.after,
    replay: gateway.live.replay,
    ask: (method, path, body) => askControlPlane(gateway, method, path, body),
  });
  // The last thing that goes: whoever waits for the end looks at it.
  ends.unshift(() => removeFirewallState(home, state.instance));
  removeSecret(secretFile);
  createSecret(secretFile, channel.secret);
  writeFirewallState(home, state);
  call.report(announcement(call, state, plan));
  return { asked };
}

/** The runtimes of set-up agents. What is wrong with the file is said where it is loaded. */
function setUpRuntimes(home: string): RuntimeFiles[] {
  try {
    return readSetup(home).agents.flatMap(({ credential_file }) => {
      const [, folder, runtime] = /^(.*)[\\/]([^\\/]+)\.credential$/.exec(credential_file ?? '') ?? [];
      return folder === undefined || runtime === undefined ? [] : [runtimeFiles(folder, runtime)];
    });
  } catch {
    return [];
  }
}

async function askControlPlane(
  { controlPlane, token }: Pick<Gateway, 'controlPlane' | 'token'>,
  method: 'GET' | 'POST',
  path: string,
  body: unknown,
): Promise<{ status: number; body: object }> {
  const authorization = `Bearer ${token()}`;
  const content = { 'content-type': 'application/json' };
  const response = await fetch(`${controlPlane}${path}`, {
    method,
    headers: { authorization, ...(method === 'POST' ? content : {}) },
    ...(method === 'POST' ? { body: JSON.stringify(body ?? {}) } : {}),
    redirect: 'error',
    signal: AbortSignal.timeout(ASK_MS),
  }).catch((error: unknown) => {
    throw new CliError('unreachable', `no answer from ${controlPlane} (${String(error)})`);
  });
  return { status: response.status, body: (await response.json()) as object };
}

function stateOf(channel: string, { loaded }: Plan, gateway: Gateway): FirewallState {
  return {
    v: 1,
    pid: process.pid,
    instance: toBase64url(randomBytes(16)),
    mode: gateway.mode,
    listen: gateway.listen,
    control_channel: channel,
    control_plane: gateway.controlPlane,
    operator_key_file: gateway.operatorKeyFile,
    data: loaded.config.data,
    config: loaded.files[0] ?? null,
    org: loaded.config.org,
    env: loaded.config.env,
    version: gateway.version,
    started_at: new Date().toISOString(),
  };
}

function announcement(call: Call, state: FirewallState, { example, mode }: Plan): Result {
  const connect = `${call.program} firewall-connect --runtime-id my-runtime --agent-id my-agent --workspace-id default`;
  return {
    data: { ...state, example: example !== null, next: connect },
    lines: [
      `${call.terminal.style('green', 'The local firewall is up')} on ${state.listen} (pid ${state.pid})`,
      `  state     ${mode === 'embedded' ? 'its own control plane' : 'follows'} ${state.control_plane}`,
      `  folder    ${shown(state.data, call.folder)}`,
      `  config    ${state.config === null ? 'none: the built-in starter' : shown(state.config, call.folder)}`,
      ...(example === null
        ? []
        : [`  example   no api is configured: /firewall/${EXAMPLE_API}/ leads to a built-in one`]),
      'Next, in another terminal:',
      `  ${connect}`,
    ],
  };
}
