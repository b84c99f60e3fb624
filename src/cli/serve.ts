import { type Command, Option } from 'commander';
import type { App, startApp } from '../app.ts';
import { isLocal, parseAddress } from '../config/address.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { listeners } from '../config/obstacles.ts';
import type { ConfigWatch } from '../config/watch.ts';
import { InputError } from '../reason.ts';
import type { Config } from '../schema/config.ts';
import { type Call, countOption, type Result } from './command.ts';
import { defineConfigOptions, loadOptions } from './config-options.ts';
import { EXIT, misuse } from './exit.ts';
import { connectCommand, shown } from './next-steps.ts';
import { reloads, warn } from './reloads.ts';
import { firstSignal, SIGNALS } from './signals.ts';
import { keepHeapSmall, optimiseEarly } from './v8-flags.ts';

export type { App } from '../app.ts';
export type StartApp = typeof startApp;

export function define(command: Command): void {
  defineConfigOptions(command);
  command.option('--trust-clock', 'The clock is right, though records of a later time are there');
  command.addOption(new Option('--clock <seconds>', 'Freeze the clock at this second since 1970').hideHelp());
}

/** Runs until SIGTERM or SIGINT. */
export async function run(call: Call, begin: StartApp = startLoaded): Promise<null> {
  const options = loadOptions(call);
  const loaded = loadConfig(options);
  warn(call, loaded);
  const seconds = frozenAt(call, loaded.config);
  const stopped = firstSignal();
  const app = await start(call, loaded, seconds, begin);
  const watch = reloads(call, app, loaded, options);
  call.report(announcement(call, app, loaded, seconds));
  await stopped;
  await stop(call, app, watch);
  return null;
}

/** The service is loaded only once its configuration is known to be good. */
const startLoaded: StartApp = async (loaded, options) => {
  keepHeapSmall();
  const app = await (await import('../app.ts')).startApp(loaded, options);
  optimiseEarly();
  return app;
};

async function start(
  call: Call,
  loaded: LoadedConfig,
  seconds: number | null,
  begin: StartApp,
): Promise<App> {
  const output = (line: string) => call.terminal.note(line);
  try {
    // A person at a terminal wants the announcement and what goes wrong; a pipe gets every line.
    const level = call.terminal.interactive ? 'warn' : 'info';
    const clock = seconds === null ? {} : { clock: () => seconds * 1000 };
    const trustClock = call.options.trustClock === true;
    return await begin(loaded, { output, level, trustClock, ...clock });
  } catch (error) {
    throw error instanceof InputError ? loaded.locateError(error) : error;
  }
}

/** A frozen clock replays recorded requests: proofs never expire, so nothing beyond this machine may reach it. */
function frozenAt(call: Call, config: Config): number | null {
  const seconds = countOption(call.options, 'clock', '--clock');
  if (seconds === undefined) return null;
  const open = [
    ...listeners(config).map(([, { address }]) => address),
    ...(config.firewall === null ? [] : [config.firewall.listen]),
  ].filter((text) => {
    const address = parseAddress(text);
    return address === null || !isLocal(address);
  });
  if (open.length > 0)
    throw misuse(`--clock needs every listener on loopback or a unix socket; ${open.join(', ')} is not`);
  const time = new Date(seconds * 1000);
  if (Number.isNaN(time.getTime()))
    throw misuse('--clock is beyond any date: it counts seconds, not milliseconds');
  const warning = `THE CLOCK IS FROZEN AT ${time.toISOString()}: for replaying recorded requests only. Expired proofs pass.`;
  call.terminal.note(call.terminal.styleNote(['bold', 'red'], warning));
  return seconds;
}

async function stop(call: Call, app: App, watch: Pick<ConfigWatch, 'close'>): Promise<void> {
  // Whoever asks twice does not want to wait.
  const hurry = () => process.exit(EXIT.failed);
  for (const signal of SIGNALS) process.once(signal, hurry);
  watch.close();
  try {
    await app.stop();
  } finally {
    for (const signal of SIGNALS) process.off(signal, hurry);
  }
  if (!call.json) call.terminal.note('Lemma has stopped');
}

function announcement(call: Call, app: App, loaded: LoadedConfig, seconds: number | null): Result {
  const { addresses, operatorKeyFile } = app;
  const steps = { program: call.program, folder: call.folder, config: loaded.config };
  const next =
    connectCommand(steps, addresses.control) ?? `${call.program} init   (no route is open to a proof yet)`;
  return {
    data: { addresses, operator_key_file: operatorKeyFile, revision: loaded.revision, clock: seconds, next },
    lines: [
      `${call.terminal.style('green', 'Lemma is up')} (configuration ${loaded.revision})`,
      ...addresses.grpc.map((address) => `  gRPC      ${address}`),
      `  decision  ${addresses.decision}`,
      `  control   ${addresses.control}`,
      ...(addresses.firewall === null ? [] : [`  firewall  ${addresses.firewall}`]),
      `  operator  ${shown(operatorKeyFile, call.folder)}`,
      'Next, in another terminal:',
      `  ${next}`,
    ],
  };
}
