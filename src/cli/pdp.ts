import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { InputError } from '../reason.ts';
import { type Call, textOption } from './command.ts';
import { defineConfigOptions, loadOptions } from './config-options.ts';
import { reloads, warn } from './reloads.ts';
import { firstSignal } from './signals.ts';
import { keepHeapSmall, optimiseEarly } from './v8-flags.ts';

export function define(command: Command): void {
  defineConfigOptions(command);
  command.option('--control <url>', 'The control plane, as --control-url');
}

/** Runs until SIGTERM or SIGINT. */
export async function run(call: Call): Promise<null> {
  const options = loadOptions(call);
  const url = textOption(call.options, 'control') ?? options.flags['control.url'];
  const wishes = { ...options, flags: { ...options.flags, 'control.url': url } };
  const loaded = loadConfig(wishes);
  warn(call, loaded);
  const stopped = firstSignal();
  keepHeapSmall();
  const { startNode } = await import('../node.ts');
  const node = await startNode(loaded, {
    output: (line) => call.terminal.note(line),
    level: call.terminal.interactive ? 'warn' : 'info',
  }).catch((error: unknown) => {
    throw error instanceof InputError ? loaded.locateError(error) : error;
  });
  optimiseEarly();
  const watch = reloads(call, node, loaded, wishes);
  const { grpc, decision, firewall } = node.addresses;
  call.report({
    data: { node: node.node, addresses: node.addresses, revision: loaded.revision },
    lines: [
      `${call.terminal.style('green', 'A decision node is up')}: ${node.node} (configuration ${loaded.revision})`,
      ...grpc.map((address) => `  gRPC      ${address}`),
      `  decision  ${decision}`,
      ...(firewall === null ? [] : [`  firewall  ${firewall}`]),
    ],
  });
  await stopped;
  watch.close();
  await node.stop();
  return null;
}
