import type { Command } from 'commander';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { InputError } from '../reason.ts';
import { firewallRoutes } from '../request/firewall.ts';
import { buildRouteMap } from '../request/route-map.ts';
import type { Config } from '../schema/config.ts';
import type { Call, Result } from './command.ts';
import { defineConfigOptions, loadOptions } from './config-options.ts';

export function define(command: Command): void {
  defineConfigOptions(command);
}

/** The configuration as `serve` would use it, or everything that is wrong with it. */
export async function run(call: Call): Promise<Result> {
  const loaded = loadConfig(loadOptions(call));
  refuseTies(loaded);
  const { config, revision, files, warnings } = loaded;
  const source = files.length === 0 ? 'no file, only defaults' : files.join(', ');
  return {
    data: { revision, files, warnings, config: withoutSecrets(config) },
    lines: [
      ...warnings.map((warning) => `warning: ${warning}`),
      `The configuration is good: revision ${revision}, routes: ${config.routes.length} (${source})`,
    ],
  };
}

/** As it may be printed, and pasted into a ticket. */
function withoutSecrets(config: Config): Config {
  const { feed } = config;
  const hidden = feed === null || feed.password === null ? feed : { ...feed, password: '(hidden)' };
  return { ...config, feed: hidden };
}

function refuseTies(loaded: LoadedConfig): void {
  try {
    const { config } = loaded;
    const named = firewallRoutes(config.firewall, config);
    buildRouteMap(config.routes, config.permit_method_override, named);
  } catch (error) {
    throw error instanceof InputError ? loaded.locateError(error) : error;
  }
}
