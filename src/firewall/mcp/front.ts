import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  type CallToolRequest,
  type CallToolResult,
  createMcpHandler,
  INTERNAL_ERROR,
  INVALID_REQUEST,
  InMemoryServerEventBus,
  PARSE_ERROR,
  ProtocolError,
  type RequestId,
  Server,
  type ServerContext,
  type ServerEventBus,
} from '@modelcontextprotocol/server';
import { uncoveredScope } from '../../proof/scope.ts';
import type { Received } from '../../request/firewall.ts';
import { type McpAsk, toRequest } from '../../request/mcp.ts';
import type { Decision } from '../../schema/decision.ts';
import type { McpServer, McpTool } from '../../schema/mcp.ts';
import type { HeaderLine } from '../../schema/request.ts';
import { sendFailure } from '../answer.ts';
import type { Exchanges } from '../exchange.ts';
import { receivedOf } from '../permit.ts';
import { readHead } from '../read-head.ts';
import { keptBack } from '../taint.ts';
import { createToolbox, type Toolbox } from './toolbox.ts';
import { createMcpUpstream } from './upstream.ts';

/** Of JSON-RPC's range for servers: what Lemma denied. `data` is `{error, decision_id}`. */
export const DENIED = -32_010;
/** In `_meta` of a result: the decision that let it happen. */
const DECISION_ID = 'lemma-authz/decision_id';
/** Bytes of a message; a tool's arguments are decided on whole. */
const MESSAGE_LIMIT = 4 * 1024 * 1024;

export interface McpFrontOptions {
  readonly servers: readonly McpServer[];
  /** Where the pins of tool descriptions are kept. */
  readonly pinFile: string;
  readonly decide: Exchanges['decide'];
  readonly taint: Exchanges['taint'];
  readonly clock: () => number;
  readonly log: {
    info(facts: object, message: string): void;
    error(facts: object, message: string): void;
  };
}

export interface McpFront {
  /** Answers a request for `/mcp/<id>`; rejects with what is no fault of the client's. */
  serve(incoming: IncomingMessage, outgoing: ServerResponse, lines: readonly HeaderLine[]): Promise<void>;
  close(): Promise<void>;
}

/** One configured server, with what is known of it. */
interface Stand {
  readonly server: McpServer;
  readonly toolbox: Toolbox;
  readonly bus: ServerEventBus;
}

/** What carried a message, and what was decided about it unless it is a call. */
interface Occasion {
  readonly received: Received;
  readonly scope: readonly string[];
}

/**
 * MCP over streamable HTTP, by the official SDK, both its protocol eras and without sessions: a client sees the tools that
 * the configuration names, whose descriptions are as they were pinned, and that its proof reaches. Resources, prompts and
 * what servers ask of clients do not pass.
 */
export function createMcpFront(options: McpFrontOptions): McpFront {
  const stands = new Map(options.servers.map((server) => [server.id, standOf(server, options)]));
  return {
    async serve(incoming, outgoing, lines) {
      const id = /^\/mcp\/([^/?]*)$/.exec(incoming.url ?? '')?.[1] ?? '';
      const stand = stands.get(id);
      if (stand === undefined) {
        const message = 'no such MCP server: clients connect to /mcp/<server>';
        sendFailure(outgoing, { error: 'route_unknown', message });
        return;
      }
      await answer(stand, { incoming, outgoing, lines }, options);
    },
    async close() {
      await Promise.all([...stands.values()].map(({ toolbox }) => toolbox.close()));
    },
  };
}

function standOf(server: McpServer, { pinFile, clock, log }: McpFrontOptions): Stand {
  const bus = new InMemoryServerEventBus();
  const upstream = createMcpUpstream(server, {
    onToolsChanged: () => bus.publish({ kind: 'tools_list_changed' }),
    onLine: (line) => log.info({ mcp: server.id, line }, 'an MCP server wrote'),
  });
  return { server, bus, toolbox: createToolbox({ server, upstream, pinFile, clock, log }) };
}

interface Http {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly lines: readonly HeaderLine[];
}

async function answer(stand: Stand, http: Http, options: McpFrontOptions): Promise<void> {
  const { incoming, outgoing } = http;
  const head = await readHead(incoming, MESSAGE_LIMIT).catch(() => null);
  if (head === null) return;
  if (!head.complete) return refuse(outgoing, 413, null, INVALID_REQUEST, 'the message is too large');
  const received = receivedOf(incoming, http.lines, head);
  const message = incoming.method === 'POST' ? messageIn(head.bytes) : {};
  if (message === null) return refuse(outgoing, 400, null, PARSE_ERROR, 'the body is no JSON object');

  let scope: readonly string[] = [];
  if (isDecidedOn(message)) {
    const decision = await options.decide(toRequest(received, stand.server, { kind: 'connect' }));
    if (decision.verdict === 'deny') return refuseWith(outgoing, message.id, denialOf(decision));
    scope = decision.actor?.scope ?? [];
  }
  const handler = createMcpHandler(() => serverFor(stand, { received, scope }, options), {
    bus: stand.bus,
    maxRequestBodySize: MESSAGE_LIMIT,
    onerror: (error) => options.log.error({ err: error, mcp: stand.server.id }, 'an MCP message failed'),
  });
  const gone = new AbortController();
  outgoing.once('close', () => gone.abort());
  const response = await handler.fetch(
    new Request(`http://${incoming.headers.host}${incoming.url}`, {
      method: incoming.method ?? 'GET',
      headers: http.lines.filter(([name]) => !NOT_FETCHED.has(name.toLowerCase())).map(([k, v]) => [k, v]),
      ...(incoming.method === 'POST' ? { body: head.bytes } : {}),
      signal: gone.signal,
    }),
  );
  outgoing.writeHead(response.status, [...response.headers].flat());
  outgoing.flushHeaders();
  if (response.body === null) outgoing.end();
  else await pipeline(Readable.fromWeb(response.body), outgoing).catch(() => undefined);
}

/** The connection's own; the body is read already. */
const NOT_FETCHED = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'expect',
  'upgrade',
]);

interface Message {
  readonly id?: unknown;
  readonly method?: unknown;
}

/** Null for what is no single JSON-RPC message: MCP has no batches any more (2025-06-18). */
function messageIn(bytes: Buffer): Message | null {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** Calls are decided on by their tool; notifications and pings do nothing. */
function isDecidedOn({ id, method }: Message): boolean {
  return id !== undefined && method !== undefined && method !== 'tools/call' && method !== 'ping';
}

function serverFor(stand: Stand, occasion: Occasion, options: McpFrontOptions): Server {
  const { id } = stand.server;
  const server = new Server(
    { name: `lemma/${id}`, version: '1' },
    { capabilities: { tools: { listChanged: true } } },
  );
  server.setRequestHandler('tools/list', async () => {
    const tools = await stand.toolbox.listed();
    const reached = (tool: McpTool) => uncoveredScope(occasion.scope, tool.scope) === null;
    return { tools: tools.filter(({ tool }) => reached(tool)).map(({ described }) => described) };
  });
  server.setRequestHandler('tools/call', (request, context) =>
    call(stand, occasion, request.params, context, options),
  );
  return server;
}

async function call(
  { server, toolbox }: Stand,
  { received }: Occasion,
  params: CallToolRequest['params'],
  { mcpReq }: ServerContext,
  options: McpFrontOptions,
): Promise<CallToolResult> {
  if (!toolbox.known) {
    // Nobody who may not connect has a server started.
    const connecting = await options.decide(toRequest(received, server, { kind: 'connect' }));
    if (connecting.verdict === 'deny') throw denialOf(connecting);
  }
  const ask = await askOf(toolbox, params).catch((error: unknown) => {
    throw failureOf(error, server, null, options);
  });
  const decision = await options.decide(toRequest(received, server, ask));
  if (decision.verdict === 'deny') throw denialOf(decision);

  let tainted: Promise<void> | null = null;
  /** Before the first thing of the answer that may carry instructions. */
  const taint = () => {
    tainted ??= taintBy(decision, server, options);
    return tainted;
  };
  const token = params._meta?.progressToken;
  const onProgress =
    token === undefined
      ? undefined
      : (progress: object) =>
          void taint()
            .then(() =>
              mcpReq.notify({
                method: 'notifications/progress',
                params: { ...progress, progressToken: token },
              }),
            )
            .catch(() => undefined);
  try {
    const { name, arguments: args } = params;
    const asked = { name, ...(args === undefined ? {} : { arguments: args }) };
    const result = await toolbox.call(asked, { signal: mcpReq.signal, onProgress });
    await taint();
    return { ...result, _meta: { ...result._meta, [DECISION_ID]: decision.decision_id } };
  } catch (error) {
    // What a server says of its failure is an answer too.
    await taint();
    throw failureOf(error, server, decision, options);
  }
}

async function askOf(toolbox: Toolbox, params: CallToolRequest['params']): Promise<McpAsk> {
  const tool = await toolbox.usable(params.name);
  if (typeof tool === 'string') return { kind: 'withheld', why: tool };
  return { kind: 'call', tool, arguments: Buffer.from(JSON.stringify(params.arguments ?? {})) };
}

async function taintBy(decision: Decision, { id }: McpServer, options: McpFrontOptions): Promise<void> {
  const message = await keptBack(decision, `mcp.${id}`, options);
  if (message === null) return;
  const { decision_id } = decision;
  throw new ProtocolError(DENIED, message, { error: 'state_not_ready', decision_id });
}

function denialOf({ reason, decision_id }: Decision): ProtocolError {
  return new ProtocolError(DENIED, `denied by Lemma: ${reason} (decision ${decision_id})`, {
    error: reason,
    decision_id,
  });
}

/** A server's own errors pass as they are; that it is away is said without a word about where it is. */
function failureOf(
  error: unknown,
  { id }: McpServer,
  decision: Decision | null,
  { log }: McpFrontOptions,
): ProtocolError {
  if (error instanceof ProtocolError) return error;
  const decided = decision === null ? {} : { decision_id: decision.decision_id };
  const code = codeOf(error);
  if (code !== null && error instanceof Error) return new ProtocolError(code, error.message, decided);
  log.error({ err: error, mcp: id, ...decided }, 'an MCP server did not answer');
  const message = `${decision === null ? 'nothing was decided yet' : 'the call was allowed'}, and ${id} did not answer`;
  return new ProtocolError(INTERNAL_ERROR, message, { error: 'upstream_unavailable', ...decided });
}

/** The client's half of the SDK has an error class of its own. */
function codeOf(error: unknown): number | null {
  if (!(error instanceof Error) || error.name !== 'ProtocolError' || !('code' in error)) return null;
  return typeof error.code === 'number' ? error.code : null;
}

function refuseWith(outgoing: ServerResponse, id: unknown, error: ProtocolError): void {
  refuse(outgoing, 200, id, error.code, error.message, error.data);
}

function refuse(
  outgoing: ServerResponse,
  status: number,
  id: unknown,
  code: number,
  message: string,
  data?: unknown,
): void {
  const known: RequestId | null = typeof id === 'string' || typeof id === 'number' ? id : null;
  const error = { code, message, ...(data === undefined ? {} : { data }) };
  const text = JSON.stringify({ jsonrpc: '2.0', id: known, error });
  outgoing.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  outgoing.end(text);
}
