import { type AgentTools, type AgentToolsEntry, OTHER_TOOLS } from '../schema/agent-tools.ts';

/** Fills in the defaults of an entry that was checked. `path` makes a file absolute. */
export function agentTools(entry: AgentToolsEntry, path: (text: string) => string): AgentTools {
  return {
    id: entry.id,
    audience: entry.audience ?? `http://${entry.id}.tool.localhost`,
    credential_file: entry.credential_file === undefined ? null : path(entry.credential_file),
    tools: entry.tools.map((tool) => ({
      name: tool.name,
      scope: tool.scope,
      risk: tool.risk,
      action: tool.action ?? toolAction(entry.id, tool.name),
      taint_on_response: tool.taint_on_response ?? false,
    })),
  };
}

export function toolAction(agent: string, tool: string): string {
  return `tool.${agent}.${tool === OTHER_TOOLS ? 'other' : tool.toLowerCase()}`;
}
