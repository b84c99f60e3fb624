import { AGENT_TOOL_PATTERN, type AgentTool, type AgentTools, OTHER_TOOLS } from '../schema/agent-tools.ts';
import { hostWithoutPort } from '../schema/origin.ts';
import type { AuthzRequest, Route } from '../schema/request.ts';
import type { Received } from './firewall.ts';
import { presented } from './proxy.ts';
import { headersOf } from './received.ts';

/*
 * An agent's own tools as the firewall decides about them: before a call the agent's hook asks by a POST to
 * `/tool/<agent>/<tool>` with the arguments as JSON body. Nothing is forwarded: the answer is the decision.
 */

/** `tool.<agent>:<tool>` for each tool, `tool.<agent>:*` for the others (a colon is in no configured id). */
export function agentToolRoutes(
  agents: readonly AgentTools[],
  { org, env }: { readonly org: string; readonly env: string },
): Route[] {
  return agents.flatMap((agent) =>
    agent.tools.map(
      (tool): Route => ({
        id: routeId(agent, tool),
        org,
        env,
        host: hostWithoutPort(new URL(agent.audience).host),
        path: `/tool/${agent.id}/${tool.name === OTHER_TOOLS ? '{tool}' : tool.name}`,
        methods: ['POST'],
        api: `tool.${agent.id}`,
        action: tool.action,
        scope: tool.scope,
        audience: agent.audience,
        risk: tool.risk,
        body: 'json',
        taint_on_response: tool.taint_on_response,
        forward_credential: false,
        mode: 'enforce',
        public: false,
        encoded_slash: 'deny',
        upgrade: 'deny',
      }),
    ),
  );
}

function routeId({ id }: AgentTools, { name }: AgentTool): string {
  return `tool.${id}:${name}`;
}

const NAME = new RegExp(AGENT_TOOL_PATTERN);

/** `fallback`: the credential of who shows none, or null. */
export function toRequest(
  received: Received,
  agent: AgentTools,
  fallback: () => string | null,
): AuthzRequest {
  const url = new URL(agent.audience);
  const name = received.target.slice(`/tool/${agent.id}/`.length);
  const tool = toolOf(agent, name);
  const routed = tool === undefined ? { unrouted: whyNot(agent, name) } : { routeId: routeId(agent, tool) };
  return {
    border: 'firewall',
    method: received.method,
    scheme: url.protocol === 'https:' ? 'https' : 'http',
    host: url.host,
    target: received.target,
    ...routed,
    ...headersOf(presented(received.headers, fallback)),
    body: received.body,
    protocol: received.protocol,
    source: { address: received.address, principal: '' },
    signed: { scheme: 'http', host: received.host, target: received.target },
  };
}

function toolOf({ tools }: AgentTools, name: string): AgentTool | undefined {
  if (!NAME.test(name)) return undefined;
  return tools.find((tool) => tool.name === name) ?? tools.find((tool) => tool.name === OTHER_TOOLS);
}

function whyNot({ id }: AgentTools, name: string): string {
  return NAME.test(name)
    ? `firewall.agents has no tool ${name} for ${id}, and no *`
    : 'a tool is a name of letters, digits and . _ -: hooks ask at /tool/<agent>/<tool>';
}
