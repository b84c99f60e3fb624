import type { Command } from 'commander';
import { configSchema } from '../schema/config.ts';
import { routesFileSchema } from '../schema/route.ts';
import type { Call, Result } from './command.ts';

export function define(command: Command): void {
  command.option('--routes', 'The schema of a routes file instead');
}

export async function run(call: Call): Promise<Result> {
  const schema = call.options.routes === true ? routesFileSchema : configSchema;
  return { data: schema, lines: [JSON.stringify(schema, null, 2)] };
}
