import type { McpServer, McpTool } from '../schema/mcp.ts';
import { hostWithoutPort } from '../schema/origin.ts';
import type { AuthzRequest, Route } from '../schema/request.ts';
import { bodyFacts } from './body.ts';
import type { Received } from './firewall.ts';
import { headersOf } from './received.ts';

/*
 * MCP as the firewall decides about it: a call of a tool is a POST to `/mcp/<server>/<tool>` of the server's host with the
 * arguments as JSON body, whatever transport carried it; anything else that a client asks is one to `/mcp/<server>`.
 */

/**
 * Routes of MCP servers, for the route map: `mcp.<server>` for connecting and listing, `mcp.<server>:<tool>` for each tool
 * (a colon is in no configured id).
 */
export function mcpRoutes(
  servers: readonly McpServer[],
  realm: { readonly org: string; readonly env: string },
): Route[] {
  return servers.flatMap((server) => [
    routeOf(server, realm, {
      id: connectRoute(server),
      path: `/mcp/${server.id}`,
      action: `mcp.${server.id}`,
      scope: server.scope,
      risk: server.risk,
      body: 'none',
      taint_on_response: false,
    }),
    ...server.tools.map((tool) =>
      routeOf(server, realm, {
        id: toolRoute(server, tool),
        path: `/mcp/${server.id}/${tool.name}`,
        action: tool.action,
        scope: tool.scope,
        risk: tool.risk,
        body: 'json',
        taint_on_response: tool.taint_on_response,
      }),
    ),
  ]);
}

type Own = Pick<Route, 'id' | 'path' | 'action' | 'scope' | 'risk' | 'body' | 'taint_on_response'>;

function routeOf(server: McpServer, { org, env }: { org: string; env: string }, own: Own): Route {
  return {
    ...own,
    org,
    env,
    host: hostWithoutPort(new URL(server.audience).host),
    methods: ['POST'],
    api: `mcp.${server.id}`,
    audience: server.audience,
    forward_credential: false,
    mode: 'enforce',
    public: false,
    encoded_slash: 'deny',
    upgrade: 'deny',
  };
}

function connectRoute({ id }: McpServer): string {
  return `mcp.${id}`;
}

function toolRoute({ id }: McpServer, { name }: McpTool): string {
  return `mcp.${id}:${name}`;
}

/** What a client asks for. */
export type McpAsk =
  | { readonly kind: 'connect' }
  | { readonly kind: 'call'; readonly tool: McpTool; readonly arguments: Uint8Array }
  /** A tool that may not be called whatever the proof; `why` is for operators. */
  | { readonly kind: 'withheld'; readonly why: string };

/** Of the message that carried it: what the policy sees as the body is the arguments. */
const OF_THE_MESSAGE = new Set(['content-length', 'content-type', 'content-encoding', 'transfer-encoding']);

/** `received`: the HTTP request that carried the message; it is what a PoP signs, with its body. */
export function toRequest(received: Received, server: McpServer, ask: McpAsk): AuthzRequest {
  const url = new URL(server.audience);
  const { headers, ...trace } = headersOf(received.headers);
  const common = {
    border: 'firewall' as const,
    method: 'POST',
    scheme: url.protocol === 'https:' ? 'https' : 'http',
    host: url.host,
    protocol: received.protocol,
    source: { address: received.address, principal: '' },
    ...trace,
  };
  const body = bodyFacts({ ...common, target: received.target, headers, body: received.body });
  const request = {
    ...common,
    headers: headers.filter(([name]) => !OF_THE_MESSAGE.has(name)),
    signed: { scheme: 'http', host: received.host, target: received.target, body },
  };
  switch (ask.kind) {
    case 'connect':
      return { ...request, target: `/mcp/${server.id}`, routeId: connectRoute(server), body: NO_BODY };
    case 'withheld':
      return { ...request, target: `/mcp/${server.id}`, unrouted: ask.why, body: NO_BODY };
    case 'call': {
      const { tool, arguments: seen } = ask;
      return {
        ...request,
        headers: [...request.headers, ['content-type', 'application/json']],
        target: `/mcp/${server.id}/${tool.name}`,
        routeId: toolRoute(server, tool),
        body: { seen, partial: false, size: seen.length },
      };
    }
  }
}

const NO_BODY = { seen: null, partial: false, size: 0 } as const;
