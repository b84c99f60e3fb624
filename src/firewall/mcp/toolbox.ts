import type { CallToolRequest, CallToolResult, Tool } from '@modelcontextprotocol/client';
import type { McpServer, McpTool } from '../../schema/mcp.ts';
import type { McpPins } from '../../schema/mcp-pins.ts';
import { pinReader, writePins } from './pin-file.ts';
import { compare } from './pins.ts';
import type { CallOptions, McpUpstream } from './upstream.ts';

/** A tool as it may be shown: configured, there, and described as it was pinned. */
export interface Listed {
  readonly tool: McpTool;
  readonly described: Tool;
}

/** The tools of one server. */
export interface Toolbox {
  /** Whether the server has said what it has. */
  readonly known: boolean;
  /** Asks the server, and compares. */
  listed(): Promise<readonly Listed[]>;
  /** The tool by its name, or why it may not be called. */
  usable(name: string): Promise<McpTool | string>;
  call(params: CallToolRequest['params'], options: CallOptions): Promise<CallToolResult>;
  close(): Promise<void>;
}

export interface ToolboxOptions {
  readonly server: McpServer;
  readonly upstream: McpUpstream;
  readonly pinFile: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly log: { error(facts: object, message: string): void };
}

export function createToolbox({ server, upstream, pinFile, clock, log }: ToolboxOptions): Toolbox {
  const configured = new Map(server.tools.map((tool) => [tool.name, tool]));
  const named = new Map(server.tools.map((tool) => [tool.name, tool.pin]));
  /** What the server said last. */
  let described: readonly Tool[] | null = null;
  let told = new Set<string>();

  const pinned = pinReader(pinFile);
  let last: {
    readonly pins: McpPins;
    readonly tools: readonly Tool[];
    readonly good: ReadonlySet<string>;
  } | null = null;

  /** Names of tools that are as pinned by now: a person may have approved in the meantime. */
  function good(tools: readonly Tool[]): ReadonlySet<string> {
    const pins = pinned();
    if (last?.pins === pins && last.tools === tools) return last.good;
    const now = new Date(clock()).toISOString();
    const result = compare(pins, server.id, tools, named, now);
    if (result.pins !== pins) writePins(pinFile, result.pins);
    else last = { pins, tools, good: result.good };
    tell(tools.filter(({ name }) => configured.has(name) && !result.good.has(name)).map(({ name }) => name));
    return result.good;
  }

  function tell(changed: readonly string[]): void {
    for (const tool of changed.filter((name) => !told.has(name)))
      log.error(
        { mcp: server.id, tool },
        'the description of an MCP tool has changed: it is withheld until `lemma mcp approve`',
      );
    told = new Set(changed);
  }

  return {
    get known() {
      return described !== null;
    },
    async listed() {
      const tools = await upstream.listTools();
      described = tools;
      const usable = good(tools);
      return tools.flatMap((one) => {
        const tool = configured.get(one.name);
        return tool === undefined || !usable.has(one.name) ? [] : [{ tool, described: one }];
      });
    },
    async usable(name) {
      const tool = configured.get(name);
      if (tool === undefined)
        return `firewall.mcp: ${server.id} has no tool ${JSON.stringify(name.slice(0, 128))}`;
      described ??= await upstream.listTools();
      if (!described.some((one) => one.name === name)) return `${server.id} has no tool ${name}`;
      if (!good(described).has(name))
        return `the description of ${name} of ${server.id} is not the one that was pinned: lemma mcp approve ${server.id} ${name}`;
      return tool;
    },
    call: (params, options) => upstream.call(params, options),
    close: () => upstream.close(),
  };
}
