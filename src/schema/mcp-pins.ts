import type { FromSchema } from 'json-schema-to-ts';
import { PIN_PATTERN } from './mcp.ts';

const digest = { type: 'string', pattern: PIN_PATTERN } as const;
const time = { type: 'string', minLength: 20, maxLength: 32 } as const;

const changeSchema = {
  type: ['object', 'null'],
  additionalProperties: false,
  required: ['digest', 'description', 'since'],
  properties: { digest, description: { type: 'string' }, since: time },
} as const;

/** `mcp-pins.json` of a data folder: the tool descriptions of MCP servers that were taken, by server and tool. */
export const mcpPinsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['version', 'servers'],
  properties: {
    version: { const: 1 },
    servers: {
      type: 'object',
      additionalProperties: {
        type: 'object',
        additionalProperties: {
          type: 'object',
          additionalProperties: false,
          required: ['digest', 'since', 'changed'],
          properties: { digest, since: time, changed: changeSchema },
        },
      },
    },
  },
} as const;

/** Digests are of all that the server says of the tool. `since`: RFC 3339, when it was first seen or approved. */
export type McpPins = FromSchema<typeof mcpPinsSchema>;
export type McpPin = McpPins['servers'][string][string];
