import type { FromSchema } from 'json-schema-to-ts';
import { type AgentToolsEntry, agentToolsSchema } from './agent-tools.ts';
import { BYTES32_PATTERN, ID_PATTERN } from './common.ts';
import { type McpServerEntry, mcpServerSchema } from './mcp.ts';

/** What the command line keeps in the user's folder (`~/.lemma`), each document a file of mode 0600. Times are RFC 3339. */

const text = { type: 'string', minLength: 1, maxLength: 4096 } as const;
const textOrNull = { type: ['string', 'null'], minLength: 1, maxLength: 4096 } as const;
const id = { type: 'string', pattern: ID_PATTERN } as const;
const time = {
  type: 'string',
  pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(?:\\.\\d+)?Z$',
  description: 'RFC 3339, in UTC',
} as const;

const digest = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const;
const digestOrNull = { ...digest, type: ['string', 'null'] } as const;

/** `session.json`: the bearer that `lemma session start` or `lemma login` got, and of which control plane. */
export const sessionSchema = {
  type: 'object',
  additionalProperties: false,
  required: [
    'v',
    'api_base',
    'kind',
    'token',
    'operator',
    'org',
    'env',
    'permissions',
    'authority_keys',
    'created_at',
    'expires_at',
  ],
  properties: {
    v: { const: 1 },
    api_base: {
      ...text,
      description: 'The control plane, without a closing slash: the token is for it alone',
    },
    kind: { enum: ['device', 'api_key'] },
    token: { type: 'string', pattern: '^[\\x21-\\x7e]{1,512}$', description: 'A secret' },
    operator: { ...text, description: 'Id of the operator whose token it is' },
    org: id,
    env: id,
    permissions: { type: 'array', maxItems: 64, items: text },
    authority_keys: {
      type: 'array',
      maxItems: 64,
      items: { type: 'string', pattern: BYTES32_PATTERN },
      description:
        "Thumbprints of the control plane's keys when the session began; a local firewall takes no others",
    },
    created_at: time,
    expires_at: {
      ...time,
      type: ['string', 'null'],
      description: 'Null: the control plane does not say, as for an API key',
    },
  },
} as const;

/** `firewall.json`: the local firewall that runs, or that ended without tidying up. */
export const firewallStateSchema = {
  type: 'object',
  additionalProperties: false,
  required: [
    'v',
    'pid',
    'instance',
    'mode',
    'listen',
    'control_channel',
    'control_plane',
    'operator_key_file',
    'data',
    'config',
    'org',
    'env',
    'version',
    'started_at',
  ],
  properties: {
    v: { const: 1 },
    pid: { type: 'integer', minimum: 1 },
    instance: { type: 'string', pattern: '^[A-Za-z0-9_-]{22}$', description: 'Made anew at each start' },
    mode: {
      enum: ['embedded', 'node'],
      description: 'embedded: with a control plane of its own; node: it follows one elsewhere',
    },
    listen: { ...text, description: 'Where agents reach it: host:port, as bound' },
    control_channel: { ...text, description: 'Path of the unix socket, or name of the pipe' },
    control_plane: { ...text, description: 'Origin that operators call' },
    operator_key_file: { ...textOrNull, description: 'The owner key of an embedded control plane' },
    data: { ...text, description: 'Folder of its database' },
    config: { ...textOrNull, description: 'The configuration file; null: the built-in starter' },
    org: id,
    env: id,
    version: text,
    started_at: time,
  },
} as const;

/** `setup.json`: what the setup commands have the local firewall serve, beside what lemma.yaml names. */
export const setupSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['v', 'agents', 'mcp'],
  properties: {
    v: { const: 1 },
    agents: { type: 'array', maxItems: 64, items: agentToolsSchema, description: 'As firewall.agents' },
    mcp: { type: 'array', maxItems: 256, items: mcpServerSchema, description: 'As firewall.mcp' },
  },
} as const;

/** `setup/<name>.json`: the files of others that a setup command changed, so that it can be undone. */
export const setupJournalSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['v', 'files'],
  properties: {
    v: { const: 1 },
    files: {
      type: 'array',
      maxItems: 64,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['path', 'backup', 'before', 'after'],
        properties: {
          path: text,
          backup: { ...textOrNull, description: 'The file as it was; null: there was none' },
          before: { ...digestOrNull, description: 'SHA-256 of it as it was, hex' },
          after: { ...digest, description: 'SHA-256 of it as the command left it, hex' },
        },
      },
    },
  },
} as const;

/** A private key that a passphrase opens. Binary members are base64url. */
export const sealedKeySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['v', 'kdf', 'n', 'r', 'p', 'salt', 'cipher', 'nonce', 'sealed'],
  properties: {
    v: { const: 1 },
    kdf: { const: 'scrypt', description: 'RFC 7914, over the passphrase in NFKC and UTF-8' },
    n: { enum: [32_768, 65_536, 131_072, 262_144, 524_288, 1_048_576] },
    r: { const: 8 },
    p: { const: 1 },
    salt: { type: 'string', pattern: '^[A-Za-z0-9_-]{22}$' },
    cipher: {
      const: 'aes-256-gcm',
      description: 'Its additional data is this document in RFC 8785 form without `sealed`',
    },
    nonce: { type: 'string', pattern: '^[A-Za-z0-9_-]{16}$' },
    sealed: { type: 'string', pattern: '^[A-Za-z0-9_-]{64}$', description: '32 bytes of key, 16 of tag' },
  },
} as const;

export type SessionState = FromSchema<typeof sessionSchema>;
export type FirewallState = FromSchema<typeof firewallStateSchema>;
export type SetupJournal = FromSchema<typeof setupJournalSchema>;
export interface SetupState {
  readonly v: 1;
  readonly agents: readonly AgentToolsEntry[];
  readonly mcp: readonly McpServerEntry[];
}
export type SealedKey = FromSchema<typeof sealedKeySchema>;
