import type { Command } from 'commander';
import { readPins } from '../firewall/mcp/pin-file.ts';
import type { McpPin } from '../schema/mcp-pins.ts';
import type { Call, Result } from './command.ts';
import { definePins, pinFileOf, plain } from './mcp-pins.ts';

export function define(command: Command): void {
  command.argument('[server]', 'Only of this MCP server');
  definePins(command);
}

/** The descriptions of tools that were taken, and those that are withheld because they changed. */
export async function run(call: Call): Promise<Result> {
  const [only] = call.args;
  const file = pinFileOf(call);
  const tools = Object.entries(readPins(file).servers)
    .filter(([server]) => only === undefined || server === only)
    .flatMap(([server, pins]) => Object.entries(pins).map(([tool, pin]) => ({ server, tool, ...pin })));
  return {
    data: { file, tools },
    lines:
      tools.length === 0 ? [`No tool was seen yet (${file})`] : tools.flatMap((one) => linesOf(call, one)),
  };
}

function linesOf(
  call: Call,
  { server, tool, digest, since, changed }: McpPin & { server: string; tool: string },
) {
  const { style } = call.terminal;
  if (changed === null)
    return [`${style('green', 'ok')}        ${server} ${tool}  ${digest}  since ${since}`];
  return [
    `${style('red', 'withheld')}  ${server} ${tool}  changed ${changed.since}; it says now:`,
    `          ${plain(changed.description)}`,
    `          ${call.program} mcp approve ${server} ${tool} --digest ${changed.digest}`,
  ];
}
