import { isIP } from 'node:net';
import type { Problem } from '../reason.ts';
import { ID_PATTERN } from '../schema/common.ts';
import { FRAMING, HOP_BY_HOP, isSecretHeader } from '../schema/header.ts';
import { isOrigin } from '../schema/origin.ts';
import { pathProblem } from '../schema/path.ts';
import { parseAllowed } from '../schema/proxy.ts';
import { hostPatternProblem, OVERRIDE_HEADERS, pathPatternProblem } from '../schema/route.ts';
import { addressProblem, isLocal } from './address.ts';
import { toolAction } from './agent-tools.ts';
import { isServer, serverProblem } from './bundle-server.ts';
import { feedProblem } from './feed-url.ts';
import { isRegoSource, parseRegoSource } from './git-source.ts';
import { rangeOf } from './ip-range.ts';
import { actionOf } from './mcp-servers.ts';
import { hint } from './nearest.ts';
import { parseDuration, parseSize } from './quantity.ts';
import { parseStoreUrl } from './store-url.ts';

/**
 * What no JSON Schema can say. A rule sees one value of the file, of whatever type it has there, and is silent about
 * types, which the schema checks; its problems' fields are relative to the value.
 */
type Rule = (value: unknown) => readonly Problem[];

const ID = new RegExp(ID_PATTERN);

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['listen.grpc', text(addressProblem)],
  ['listen.grpc[]', text(addressProblem)],
  ['listen.decision', text(addressProblem)],
  ['listen.control', text(addressProblem)],
  ...['listen.grpc', 'listen.grpc[]', 'listen.decision', 'listen.control'].flatMap(listenerRules),
  ['feed', text(feedProblem)],
  ['store', text(storeProblem)],
  ['public_url', text(originProblem)],
  ['log.keep', text((t) => (parseDuration(t) === null ? 'must be a number and s, m, h, d or w: 90d' : null))],
  [
    'log.max_bytes',
    text((t) => (parseSize(t) === null ? 'must be bytes, or a number and a unit: 20GB' : null)),
  ],
  ['decision_logs', secretNeedsTls('url', 'token_file')],
  ['decision_logs.url', text((t) => receiverProblem(t, 'token_file'))],
  ['telemetry.traces', secretNeedsTls('endpoint', 'headers_file')],
  ['telemetry.traces.endpoint', text((t) => receiverProblem(t, 'headers_file'))],
  ['bundles.source', text(sourceProblem)],
  ['bundles', asksNeedSource],
  [
    'bundles.every',
    text((t) => (parseDuration(t) === null ? 'must be a number and s, m, h, d or w: 10s' : null)),
  ],
  ['runtimes', unique(['org', 'env', 'runtime_id'], 'runtime_id')],
  ['routes', unique(['id'], 'id')],
  ['routes[]', route],
  ['routes[].host', text(hostPatternProblem)],
  ['routes[].audience', text(originProblem)],
  ['routes[].headers[]', text(shownProblem)],
  ['permit_method_override[]', text(overrideProblem)],
  ['firewall.listen', text(addressProblem)],
  ['firewall.apis', unique(['id'], 'id')],
  ['firewall.apis[].base_url', text(baseUrlProblem)],
  ['firewall.apis[].path_prefixes[]', text(prefixProblem)],
  ['firewall.apis[].forward_headers[]', text(forwardProblem)],
  ['firewall.apis[].inject.header', text(forwardProblem)],
  ['firewall.proxy', suffixNeedsAudience],
  ['firewall.proxy.allow[]', text(allowedProblem)],
  ['firewall.proxy.audience', text(originProblem)],
  ['firewall.mcp', unique(['id'], 'id')],
  ['firewall.mcp[]', (value) => [...onePlace(value), ...unnamedActions(value, actionOf)]],
  ['firewall.mcp[].url', text(baseUrlProblem)],
  ['firewall.mcp[].audience', text(originProblem)],
  ['firewall.mcp[].inject.header', text(forwardProblem)],
  ['firewall.mcp[].tools', unique(['name'], 'name')],
  ['firewall.agents', unique(['id'], 'id')],
  ['firewall.agents[]', (value) => unnamedActions(value, toolAction)],
  ['firewall.agents[].audience', text(originProblem)],
  ['firewall.agents[].tools', unique(['name'], 'name')],
]);

/** Of an address in its long form. */
function listenerRules(field: string): [string, Rule][] {
  return [
    [`${field}.address`, text(addressProblem)],
    [`${field}.tls`, peersNeedAuthority],
  ];
}

function peersNeedAuthority(value: unknown): Problem[] {
  if (!isRecord(value) || value.peers === undefined || value.client_ca !== undefined) return [];
  return [{ field: 'peers', message: 'needs client_ca: without it no client shows who it is' }];
}

/** An MCP server is started here or reached there; what is for one place says nothing in the other. */
function onePlace(value: unknown): Problem[] {
  if (!isRecord(value)) return [];
  const { command, url } = value;
  if ((command === undefined) === (url === undefined))
    return [{ field: '', message: 'must have a command (stdio) or a url (streamable HTTP), and not both' }];
  const [here, others] =
    command === undefined ? ['url', ['cwd', 'env', 'env_files']] : ['command', ['inject']];
  return others
    .filter((member) => value[member as string] !== undefined)
    .map((member) => ({ field: String(member), message: `means nothing beside ${here}` }));
}

/** A tool whose own name makes too long an action must be given one. */
function unnamedActions(value: unknown, actionOf: (owner: string, tool: string) => string): Problem[] {
  if (!isRecord(value) || typeof value.id !== 'string') return [];
  const owner = value.id;
  return items(value.tools).flatMap(({ name, action: said }, i) => {
    if (typeof name !== 'string' || said !== undefined || ID.test(actionOf(owner, name))) return [];
    return [
      { field: `tools[${i}].action`, message: `is needed: ${actionOf(owner, name)} is too long for one` },
    ];
  });
}

/** Deeper than any part of the schema: a value that goes on is refused there. */
const DEEPEST = 8;

/** Every problem that the rules find in a file's data. */
export function breaches(value: unknown): Problem[] {
  return walk(value, '', '', DEEPEST);
}

function walk(value: unknown, template: string, field: string, depth: number): Problem[] {
  const own = (RULES.get(template)?.(value) ?? []).map((p) => ({ ...p, field: join(field, p.field) }));
  if (depth === 0 || typeof value !== 'object' || value === null) return own;
  const inner = Array.isArray(value)
    ? value.flatMap((item, i) => walk(item, `${template}[]`, `${field}[${i}]`, depth - 1))
    : Object.entries(value).flatMap(([k, v]) => walk(v, join(template, k), join(field, k), depth - 1));
  return [...own, ...inner];
}

function join(field: string, member: string): string {
  return field === '' || member === '' || member.startsWith('[') ? `${field}${member}` : `${field}.${member}`;
}

function text(problemOf: (value: string) => string | null): Rule {
  return (value) => {
    const message = typeof value === 'string' ? problemOf(value) : null;
    return message === null ? [] : [{ field: '', message }];
  };
}

/** No two items of a list may have the same members; the later one is told. */
function unique(members: readonly string[], shown: string): Rule {
  return (value) => {
    const first = new Map<string, number>();
    return items(value).flatMap((item, i) => {
      if (typeof item[shown] !== 'string') return [];
      const key = JSON.stringify(members.map((m) => item[m] ?? null));
      const earlier = first.get(key);
      if (earlier === undefined) first.set(key, i);
      return earlier === undefined
        ? []
        : [{ field: `[${i}].${shown}`, message: `"${item[shown]}" is taken already, by item [${earlier}]` }];
    });
  };
}

function items(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map((item) => (isRecord(item) ? item : {})) : [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function route(value: unknown): Problem[] {
  if (!isRecord(value) || typeof value.path !== 'string') return [];
  const message = pathPatternProblem(value.path, value.encoded_slash === 'allow');
  return message === null ? [] : [{ field: 'path', message }];
}

function storeProblem(value: string): string | null {
  const address = parseStoreUrl(value);
  return typeof address === 'string' ? address : null;
}

function sourceProblem(value: string): string | null {
  if (isServer(value)) return serverProblem(value);
  if (!isRegoSource(value)) return null;
  const source = parseRegoSource(value);
  return typeof source === 'string' ? source : null;
}

function asksNeedSource(value: unknown): Problem[] {
  if (!isRecord(value)) return [];
  const { source } = value;
  if (typeof source === 'string' && source.startsWith('git+')) return [];
  const server = typeof source === 'string' && isServer(source);
  return [...(server ? [] : ['every']), 'rewind_to']
    .filter((member) => value[member] !== undefined)
    .map((field) => ({ field, message: 'is for a repository: bundles.source is none' }));
}

function originProblem(value: string): string | null {
  if (isOrigin(value)) return null;
  const meant = URL.parse(value)?.origin;
  const example = meant !== undefined && isOrigin(meant) ? meant : 'https://api.example.com';
  return `must be an origin, scheme and host without a path: ${example}`;
}

function overrideProblem(value: string): string | null {
  const known = OVERRIDE_HEADERS.map((h) => h.toLowerCase());
  if (known.includes(value.toLowerCase())) return null;
  return `is none of the headers that can be permitted${hint(value, OVERRIDE_HEADERS)}`;
}

function receiverProblem(value: string, secretIn: string): string | null {
  const url = URL.parse(value);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    return 'must be an http or https URL';
  if (url.username !== '' || url.password !== '') return `must hold no credentials: use ${secretIn}`;
  return /[?#]/.test(value) ? 'must have no query and no fragment' : null;
}

/** A secret goes over TLS, or stays on this machine. */
function secretNeedsTls(field: 'url' | 'endpoint', file: 'token_file' | 'headers_file'): Rule {
  return (value) => {
    const text = isRecord(value) && value[file] !== undefined ? value[field] : undefined;
    const url = typeof text === 'string' ? URL.parse(text) : null;
    const host = url?.hostname.replace(/^\[|\]$/g, '') ?? '';
    if (url?.protocol !== 'http:' || isLocal({ kind: 'tcp', host, port: 0 })) return [];
    const what = file === 'token_file' ? 'the token of token_file' : `what is in ${file}`;
    return [{ field, message: `would get ${what} in the clear: use https` }];
  };
}

function baseUrlProblem(value: string): string | null {
  const url = URL.parse(value);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    return 'must be an http or https URL';
  if (url.username !== '' || url.password !== '') return 'must hold no credentials: use inject';
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(value)) return 'must have no query and no fragment';
  const unreachable = neverReached(url.hostname.replace(/^\[|\]$/g, ''));
  if (unreachable !== null) return unreachable;
  const path = pathProblem(url.pathname);
  return path === null ? null : `has an ambiguous path: ${path.problem}`;
}

/** What is wrong with a host that is an address, or null. */
function neverReached(host: string): string | null {
  if (isIP(host) === 0) return null;
  const { reach, name } = rangeOf(host);
  return reach === 'never' ? `is ${host}, which is ${name}: it is never connected to` : null;
}

function prefixProblem(value: string): string | null {
  const path = pathProblem(value);
  if (path !== null) return `must be a plain path: ${path.problem}`;
  return value !== '/' && value.endsWith('/') ? `must have no trailing slash: ${value.slice(0, -1)}` : null;
}

function allowedProblem(value: string): string | null {
  const to = parseAllowed(value);
  return typeof to === 'string' ? to : neverReached(to.host.replace(/^\[|\]$/g, ''));
}

/** Many hosts have no one origin that a proof could be for. */
function suffixNeedsAudience(value: unknown): Problem[] {
  if (!isRecord(value) || !Array.isArray(value.allow) || value.audience !== undefined) return [];
  const suffix = value.allow.find((one) => typeof one === 'string' && one.startsWith('*.'));
  const message = `must be said for ${suffix}: the origin that a proof must be for, such as https://egress.example`;
  return suffix === undefined ? [] : [{ field: 'audience', message }];
}

function shownProblem(value: string): string | null {
  return isSecretHeader(value.toLowerCase()) ? 'holds a secret, which no policy sees' : null;
}

function forwardProblem(value: string): string | null {
  const name = value.toLowerCase();
  if (HOP_BY_HOP.has(name) || FRAMING.has(name))
    return "is the connection's own header: it cannot be forwarded or injected";
  return /^x[-_]lemma[-_]/.test(name) ? "is Lemma's own header: it stays on this side" : null;
}
