import type { FromSchema } from 'json-schema-to-ts';
import { ID_PATTERN, PROFILES } from './common.ts';
import type { Route } from './request.ts';
import { scopeSchema } from './route.ts';

/** An id that is a host's label too: the server's host is `<id>.mcp.localhost`. */
export const MCP_ID_PATTERN = '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$';
/** The names that MCP asks servers for (2025-11-25, Tools: Tool Names), without `/`. */
export const TOOL_PATTERN = '^[A-Za-z0-9._-]{1,128}$';
export const PIN_PATTERN = '^sha256-[0-9a-f]{64}$';
const ENV_PATTERN = '^[A-Za-z_][A-Za-z0-9_]{0,127}$';

const riskText = "Lowest profile that decides; the runtime's may be stricter";

const toolSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'scope', 'risk'],
  properties: {
    name: { type: 'string', pattern: TOOL_PATTERN, description: "The tool's name" },
    scope: scopeSchema,
    risk: { enum: PROFILES, description: riskText },
    action: {
      type: 'string',
      pattern: ID_PATTERN,
      description: 'What the policy calls this; default: mcp.<server>.<tool>, lower case',
    },
    taint_on_response: {
      type: 'boolean',
      default: false,
      description: 'Whether its results may carry injected instructions: the runtime is tainted first',
    },
    pin: {
      type: 'string',
      pattern: PIN_PATTERN,
      description: 'Digest of its description (`lemma mcp tools`); default: that of the first one seen',
    },
  },
} as const;

export const mcpServerSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'tools'],
  properties: {
    id: { type: 'string', pattern: MCP_ID_PATTERN, description: 'Unique; clients connect to /mcp/<id>' },
    command: {
      type: 'array',
      minItems: 1,
      maxItems: 64,
      items: { type: 'string' },
      description: 'A server over stdio: the program and its arguments. It runs beside the firewall',
    },
    cwd: { type: 'string', minLength: 1, description: 'Folder that it runs in; default: that of this file' },
    env: {
      type: 'object',
      propertyNames: { pattern: ENV_PATTERN },
      additionalProperties: { type: 'string' },
      description: 'Variables for it. Of the environment it gets PATH, HOME and the like alone',
    },
    env_files: {
      type: 'object',
      propertyNames: { pattern: ENV_PATTERN },
      additionalProperties: { type: 'string', minLength: 1 },
      description: 'Variables whose values are in files (0600): keys that the agent never holds',
    },
    url: { type: 'string', description: 'A server over streamable HTTP: http or https' },
    inject: {
      type: 'object',
      additionalProperties: false,
      required: ['header', 'value_file'],
      description: "The server's own credential, which the agent never holds",
      properties: {
        header: { type: 'string', minLength: 1, description: 'The header that carries it' },
        value_file: { type: 'string', minLength: 1, description: 'File with its value' },
      },
    },
    audience: { type: 'string', description: 'What proofs are for; default: http://<id>.mcp.localhost' },
    scope: { ...scopeSchema, description: 'What it takes to connect and to list tools; default: any proof' },
    risk: { enum: PROFILES, default: 'low', description: riskText },
    timeout_seconds: {
      type: 'integer',
      minimum: 1,
      maximum: 3600,
      default: 60,
      description: 'How long it may be silent about a call',
    },
    tools: {
      type: 'array',
      maxItems: 512,
      items: toolSchema,
      description: 'The only tools that are listed and may be called',
    },
  },
} as const;

export type McpServerEntry = FromSchema<typeof mcpServerSchema, { keepDefaultedPropertiesOptional: true }>;

/** One tool, defaults filled in. `pin` null: the first description seen. */
export interface McpTool {
  readonly name: string;
  readonly scope: readonly string[];
  readonly risk: Route['risk'];
  readonly action: string;
  readonly taint_on_response: boolean;
  readonly pin: string | null;
}

/** Where an MCP server is. Files and folders are absolute. */
export type McpPlace =
  | {
      readonly kind: 'stdio';
      readonly command: readonly string[];
      readonly cwd: string;
      readonly env: Readonly<Record<string, string>>;
      readonly env_files: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: 'http';
      readonly url: string;
      readonly inject: { readonly header: string; readonly value_file: string } | null;
    };

/** One MCP server behind the firewall. */
export interface McpServer {
  readonly id: string;
  readonly place: McpPlace;
  readonly audience: string;
  readonly scope: readonly string[];
  readonly risk: Route['risk'];
  readonly timeout_ms: number;
  readonly tools: readonly McpTool[];
}
