import { setImmediate as turn } from 'node:timers/promises';
import {
  type CallToolRequest,
  type CallToolResult,
  Client,
  type Progress,
  StreamableHTTPClientTransport,
  type Tool,
  type Transport,
} from '@modelcontextprotocol/client';
import { getDefaultEnvironment, StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import type { McpPlace, McpServer } from '../../schema/mcp.ts';
import { headerSecret } from '../secret.ts';

/** A configured MCP server, connected when it is first needed and again after it went away. */
export interface McpUpstream {
  listTools(): Promise<readonly Tool[]>;
  call(params: CallToolRequest['params'], options: CallOptions): Promise<CallToolResult>;
  close(): Promise<void>;
}

export interface CallOptions {
  readonly signal: AbortSignal;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

export interface UpstreamEvents {
  /** The server says that its tools are others. */
  readonly onToolsChanged: () => void;
  /** A line of what a stdio server writes to its standard error. */
  readonly onLine: (line: string) => void;
}

/**
 * No capability is offered to the server: it can ask nothing of the agent (sampling, elicitation, roots), and what it
 * says unasked goes nowhere but for the change of its tools.
 */
export function createMcpUpstream(
  server: McpServer,
  { onToolsChanged, onLine }: UpstreamEvents,
): McpUpstream {
  let connected: Promise<Client> | null = null;
  let closed = false;

  function client(): Promise<Client> {
    if (closed) return Promise.reject(new Error('the firewall is closing'));
    connected ??= connect().catch((error: unknown) => {
      connected = null;
      throw error;
    });
    return connected;
  }

  async function connect(): Promise<Client> {
    const one = new Client(
      { name: 'lemma-firewall', version: '1' },
      {
        capabilities: {},
        versionNegotiation: { mode: 'auto' },
        listChanged: { tools: { autoRefresh: false, onChanged: () => onToolsChanged() } },
      },
    );
    one.onclose = () => {
      connected = null;
    };
    // What fails is told by the call that it fails.
    one.onerror = () => undefined;
    const transport = transportTo(server.place, onLine);
    await one.connect(transport);
    hearInTurn(transport);
    return one;
  }

  return {
    async listTools() {
      const one = await client();
      // All pages of them; a server that goes on for ever is not waited for.
      const { tools } = await one.listTools({}, { timeout: server.timeout_ms, cacheMode: 'refresh' });
      return tools;
    },
    async call(params, { signal, onProgress }) {
      const one = await client();
      return one.callTool(params, {
        signal,
        timeout: server.timeout_ms,
        resetTimeoutOnProgress: true,
        ...(onProgress === undefined ? {} : { onprogress: onProgress }),
      });
    },
    async close() {
      closed = true;
      await (await connected?.catch(() => null))?.close();
    },
  };
}

/**
 * The client forgets where a call's progress goes when its answer comes, and tells of progress a moment later than of answers:
 * of what a server writes in one piece, the last progress would be lost. Each notification has a turn of the loop to itself.
 */
function hearInTurn(transport: Transport): void {
  const hear = transport.onmessage?.bind(transport);
  let before = Promise.resolve();
  transport.onmessage = (message, extra) => {
    before = before
      .then(() => {
        hear?.(message, extra);
        return 'id' in message ? undefined : turn();
      })
      .catch((error: Error) => transport.onerror?.(error));
  };
}

function transportTo(place: McpPlace, onLine: (line: string) => void): Transport {
  switch (place.kind) {
    case 'http': {
      const { inject } = place;
      const headers = inject === null ? {} : { [inject.header]: headerSecret(inject.value_file) };
      // A redirect would carry the secret elsewhere.
      return new StreamableHTTPClientTransport(new URL(place.url), {
        requestInit: { headers, redirect: 'error' },
      });
    }
    case 'stdio': {
      const [command = '', ...args] = place.command;
      const secrets = Object.entries(place.env_files).map(
        ([name, file]) => [name, headerSecret(file)] as const,
      );
      const transport = new StdioClientTransport({
        command,
        args,
        cwd: place.cwd,
        env: { ...getDefaultEnvironment(), ...place.env, ...Object.fromEntries(secrets) },
        stderr: 'pipe',
      });
      transport.stderr?.on('data', (chunk: Buffer) =>
        onLine(chunk.toString('utf8').trimEnd().slice(0, 2000)),
      );
      return transport;
    }
  }
}
