import type { FromSchema } from 'json-schema-to-ts';
import { ID_PATTERN, PROFILES } from './common.ts';
import { MCP_ID_PATTERN } from './mcp.ts';
import type { Route } from './request.ts';
import { scopeSchema } from './route.ts';

/** As agents name their tools; `*` in a configuration: every other one. */
export const AGENT_TOOL_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$';
export const OTHER_TOOLS = '*';

const toolSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'scope', 'risk'],
  properties: {
    name: {
      type: 'string',
      pattern: `${AGENT_TOOL_PATTERN}|^\\*$`,
      description: "The tool's name, or * for every tool that is not named",
    },
    scope: scopeSchema,
    risk: { enum: PROFILES, description: "Lowest profile that decides; the runtime's may be stricter" },
    action: {
      type: 'string',
      pattern: ID_PATTERN,
      description:
        'What the policy calls this; default: tool.<agent>.<tool>, lower case; of *: tool.<agent>.other',
    },
    taint_on_response: {
      type: 'boolean',
      default: false,
      description: 'Whether its results may carry injected instructions: the runtime is tainted first',
    },
  },
} as const;

export const agentToolsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'tools'],
  properties: {
    id: {
      type: 'string',
      pattern: MCP_ID_PATTERN,
      description: 'Unique; its hook asks at /tool/<id>/<tool>',
    },
    audience: { type: 'string', description: 'What proofs are for; default: http://<id>.tool.localhost' },
    credential_file: {
      type: 'string',
      minLength: 1,
      description: 'Credential of hooks on this machine that show none, as firewall-connect writes it',
    },
    tools: {
      type: 'array',
      maxItems: 512,
      items: toolSchema,
      description: 'The tools that it may use; what is not covered is denied',
    },
  },
} as const;

export type AgentToolsEntry = FromSchema<typeof agentToolsSchema, { keepDefaultedPropertiesOptional: true }>;

/** One tool of an agent, defaults filled in; the name may be `*`. */
export interface AgentTool {
  readonly name: string;
  readonly scope: readonly string[];
  readonly risk: Route['risk'];
  readonly action: string;
  readonly taint_on_response: boolean;
}

/** An agent that asks before each call of its own tools. `credential_file` is absolute. */
export interface AgentTools {
  readonly id: string;
  readonly audience: string;
  readonly credential_file: string | null;
  readonly tools: readonly AgentTool[];
}
