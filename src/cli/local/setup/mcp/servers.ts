import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { actionOf, mcpServer } from '../../../../config/mcp-servers.ts';
import { createMcpUpstream } from '../../../../firewall/mcp/upstream.ts';
import { ID_PATTERN } from '../../../../schema/common.ts';
import { MCP_ID_PATTERN, type McpServerEntry, TOOL_PATTERN } from '../../../../schema/mcp.ts';
import { readAt, removeMember, setMember } from '../edit.ts';
import { ownWords } from '../own-command.ts';
import { isObject, slugOf } from './clients.ts';

/** One server of a client's configuration. */
export type Configured =
  /** To be put behind the firewall; `secret`: what goes into a file of its own. */
  | {
      readonly kind: 'new';
      readonly name: string;
      readonly entry: McpServerEntry;
      readonly secret: { readonly path: string; readonly value: string } | null;
    }
  /** Is behind it already. */
  | { readonly kind: 'wrapped'; readonly name: string; readonly id: string }
  | { readonly kind: 'left'; readonly name: string; readonly why: string };

export interface Around {
  /** Begins the ids. */
  readonly client: string;
  /** The folder that servers are started in. */
  readonly folder: string;
  /** Where secrets are kept. */
  readonly secrets: string;
}

const SEPARATOR = '--';
/** For what a proof is that reaches the servers of a client: one for all, for a proof names few. */
export function audienceOf(client: string): string {
  return `http://${client}.mcp.localhost`;
}

export function isOf(client: string, { id }: Pick<McpServerEntry, 'id'>): boolean {
  return id.startsWith(`${client}${SEPARATOR}`);
}

/** Each of them, as it is to go on. Two names that give one id are told apart by a digest. */
export function configuredServers(servers: Readonly<Record<string, unknown>>, around: Around): Configured[] {
  const ids = new Map<string, string>();
  return Object.entries(servers).map(([name, value]): Configured => {
    const slug = `${around.client}${SEPARATOR}${slugOf(name)}`;
    const id = ids.has(slug) ? `${slug.slice(0, 54)}-${digestOf(name)}` : slug;
    ids.set(id, name);
    if (!isObject(value)) return left(name, 'is no object');
    const wrapped = wrappedId(value);
    if (wrapped !== null) return { kind: 'wrapped', name, id: wrapped };
    if (value.disabled === true) return left(name, 'is disabled');
    if (!new RegExp(MCP_ID_PATTERN).test(id)) return left(name, `gives no id: ${id}`);
    return typeof value.command === 'string'
      ? overStdio(name, id, value, around)
      : overHttp(name, id, value, around);
  });
}

function left(name: string, why: string): Configured {
  return { kind: 'left', name, why };
}

function overStdio(
  name: string,
  id: string,
  value: Readonly<Record<string, unknown>>,
  { client, folder }: Around,
): Configured {
  const { command, args = [], env = {}, cwd = folder, envFile } = value;
  if (!isTexts(args)) return left(name, 'args are no list of texts');
  const values = isObject(env) ? Object.values(env) : null;
  if (!isTexts(values)) return left(name, 'env holds more than texts');
  if (typeof cwd !== 'string') return left(name, 'cwd is no text');
  if (envFile !== undefined)
    return left(name, 'has an envFile, which the firewall does not read: put its variables into env');
  const words = [String(command), ...args];
  if ([...words, ...values, cwd].some(hasVariable))
    return left(name, 'has variables, which only the client can fill in');
  const entry: McpServerEntry = {
    id,
    command: words as [string, ...string[]],
    cwd,
    env: env as Record<string, string>,
    audience: audienceOf(client),
    tools: [],
  };
  return { kind: 'new', name, entry, secret: null };
}

function overHttp(
  name: string,
  id: string,
  value: Readonly<Record<string, unknown>>,
  { client, secrets }: Around,
): Configured {
  const url = URL_MEMBERS.map((member) => value[member]).find((one) => typeof one === 'string');
  if (typeof url !== 'string') return left(name, 'has neither a command nor a url');
  if (value.type === 'sse')
    return left(name, 'is served over SSE, which MCP has given up: the firewall speaks streamable HTTP');
  const headers = isObject(value.headers) ? Object.entries(value.headers) : [];
  if (hasVariable(url) || headers.some(([, one]) => hasVariable(String(one))))
    return left(name, 'has variables, which only the client can fill in');
  if (headers.length > 1) return left(name, 'needs more than one header, and the firewall injects one');
  const base = { id, url, audience: audienceOf(client), tools: [] };
  const [header] = headers;
  if (header === undefined) return { kind: 'new', name, entry: base, secret: null };
  const path = join(secrets, `${id}.secret`);
  const inject = { header: header[0], value_file: path };
  return { kind: 'new', name, entry: { ...base, inject }, secret: { path, value: String(header[1]) } };
}

const URL_MEMBERS = ['url', 'serverUrl', 'httpUrl'] as const;

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function hasVariable(text: string): boolean {
  return text.includes('${');
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** The words of `lemma mcp wrap <id>` somewhere in it. */
function wrappedId({ args }: Readonly<Record<string, unknown>>): string | null {
  if (!isTexts(args)) return null;
  const at = args.findIndex((word, i) => word === 'mcp' && args[i + 1] === 'wrap');
  return at === -1 ? null : (args[at + 2] ?? null);
}

export interface Wrapping {
  readonly listen: string;
  readonly runtime: string;
  /** Folder of its proof, absolute. */
  readonly data: string;
}

/** The client's file with `lemma mcp wrap` in the server's place. What only the real one needs is the firewall's now. */
export function withWrapped(
  text: string,
  path: readonly string[],
  id: string,
  { listen, runtime, data }: Wrapping,
): string {
  const [command = '', ...args] = ownWords(
    'mcp',
    'wrap',
    id,
    '--firewall',
    listen,
    '--runtime-id',
    runtime,
    '--data',
    data,
  );
  const bare = [...URL_MEMBERS, 'headers', 'env', 'cwd'].reduce(
    (said, member) => removeMember(said, [...path, member]),
    text,
  );
  // `type` says how it is reached: over stdio now.
  const typed =
    typeof readAt(text, [...path, 'type']) === 'string' ? setMember(bare, [...path, 'type'], 'stdio') : bare;
  return setMember(setMember(typed, [...path, 'command'], command), [...path, 'args'], args);
}

const LIST_MS = 60_000;

/**
 * What the server offers, asked of it as the firewall will ask. `skipped`: names that the firewall cannot route. Rejects where
 * it cannot be started or reached.
 */
export async function withTools(
  entry: McpServerEntry,
): Promise<{ entry: McpServerEntry; skipped: string[] }> {
  const upstream = createMcpUpstream(
    { ...mcpServer(entry, (text) => text), timeout_ms: LIST_MS },
    { onToolsChanged: () => undefined, onLine: () => undefined },
  );
  try {
    const names = (await upstream.listTools()).map(({ name }) => name);
    const [good, skipped] = [names.filter(isRoutable), names.filter((name) => !isRoutable(name))];
    return { entry: { ...entry, tools: good.map((name) => toolEntry(entry.id, name)) }, skipped };
  } finally {
    await upstream.close();
  }
}

function isRoutable(name: string): boolean {
  return new RegExp(TOOL_PATTERN).test(name) && !/^\.+$/.test(name);
}

function toolEntry(server: string, name: string): McpServerEntry['tools'][number] {
  const scope = `mcp.${server}.${name
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '_')
    .slice(0, 64)}`;
  const usual = new RegExp(ID_PATTERN).test(actionOf(server, name));
  const action = usual ? {} : { action: `mcp.${server.slice(0, 45)}.${digestOf(name)}` };
  return { name, scope: [scope], risk: 'low', ...action };
}
