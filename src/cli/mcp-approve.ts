import type { Command } from 'commander';
import { readPins, writePins } from '../firewall/mcp/pin-file.ts';
import { approved } from '../firewall/mcp/pins.ts';
import { type Call, type Result, textOption } from './command.ts';
import { CliError } from './exit.ts';
import { definePins, pinFileOf, plain } from './mcp-pins.ts';

export function define(command: Command): void {
  command
    .argument('<server>', 'The MCP server')
    .argument('<tool>', 'Its tool whose description has changed')
    .requiredOption('--digest <digest>', 'Of the description that you have read (`lemma mcp tools`)');
  definePins(command);
}

/** Takes a changed description, if it is still the one that was looked at. */
export async function run(call: Call): Promise<Result> {
  const [server = '', tool = ''] = call.args;
  const digest = textOption(call.options, 'digest') ?? '';
  const file = pinFileOf(call);
  const before = readPins(file);
  const after = approved(before, server, tool, digest, new Date().toISOString());
  if (after === null) {
    const changed = before.servers[server]?.[tool]?.changed ?? null;
    const now =
      changed === null ? 'nothing of it waits for approval' : `it says now: ${plain(changed.description)}`;
    throw new CliError(
      'approval_void',
      `${server} ${tool} was not approved at ${digest}: ${now}`,
      undefined,
      {
        changed,
      },
    );
  }
  writePins(file, after);
  return {
    data: { server, tool, digest },
    lines: [`${tool} of ${server} is approved as it is described now`],
  };
}
