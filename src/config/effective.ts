import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type {
  ApiEntry,
  BundleSetting,
  Config,
  ConfigFile,
  DecisionLogs,
  FirewallApi,
  FirewallProxy,
  Limits,
  Listener,
  ProxyEntry,
  RuntimeEntry,
  StoreSetting,
  Traces,
  TrustEntry,
} from '../schema/config.ts';
import { DEFAULT_FIREWALL } from '../schema/config.ts';
import type { Route } from '../schema/request.ts';
import type { RouteEntry } from '../schema/route.ts';
import { agentTools } from './agent-tools.ts';
import { isServer } from './bundle-server.ts';
import type { RoutesFile } from './check.ts';
import { parseFeedUrl } from './feed-url.ts';
import { isRegoSource, parseRegoSource } from './git-source.ts';
import { mcpServer } from './mcp-servers.ts';
import { isPem } from './opa-keys.ts';
import { parseDuration, parseSize } from './quantity.ts';
import { parseStoreUrl, shownStoreUrl } from './store-url.ts';

/** What a file leaves open. */
export interface Surroundings {
  /** The folder that a path of this field is meant from. */
  folderOf(field: string): string;
  readonly routes: RoutesFile;
}

/** Fills in the defaults (contracts.md) of a configuration that was checked. */
export function effective(file: ConfigFile, around: Surroundings): Config {
  const { org, env } = home(file);
  const path = (field: string, text: string) => resolve(around.folderOf(field), text);
  const {
    grpc = '127.0.0.1:9191',
    decision = '127.0.0.1:8181',
    control = '127.0.0.1:8080',
  } = file.listen ?? {};
  return {
    listen: {
      grpc: (Array.isArray(grpc) ? grpc : [grpc]).map((one) => listener(one, path)),
      decision: listener(decision, path),
      control: listener(control, path),
    },
    data: path('data', file.data ?? './.lemma'),
    feed: file.feed === undefined ? null : parseFeedUrl(file.feed),
    store: file.store === undefined ? null : storeOf(file.store, (text) => path('store', text)),
    org,
    env,
    node: file.node ?? nodeName(hostname()),
    public_url: file.public_url ?? null,
    trust: file.trust ?? [],
    runtimes: (file.runtimes ?? []).map(
      (entry): RuntimeEntry => ({ ...entry, ...at(entry, org, env), keys: entry.keys ?? null }),
    ),
    log: {
      keep_ms: duration(file.log?.keep ?? '90d'),
      max_bytes: size(file.log?.max_bytes ?? '20GB'),
      when_full: file.log?.when_full ?? 'deny',
    },
    decision_logs: decisionLogs(file.decision_logs, (text) => path('decision_logs.token_file', text)),
    telemetry: {
      traces: traces(file.telemetry?.traces, (text) => path('telemetry.traces.headers_file', text)),
    },
    limits: limits(file.limits),
    routes: around.routes.routes.map((entry) => route(entry, org, env)),
    permit_method_override: permitted(file, around.routes),
    bundles: bundles(file.bundles, path),
    control:
      file.control === undefined
        ? null
        : {
            url: file.control.url ?? '',
            keys: file.control.keys ?? [],
            token_file:
              file.control.token_file === undefined
                ? ''
                : path('control.token_file', file.control.token_file),
          },
    firewall:
      file.firewall === undefined
        ? null
        : {
            listen: file.firewall.listen ?? DEFAULT_FIREWALL,
            apis: (file.firewall.apis ?? []).map((entry) =>
              api(entry, (text) => path('firewall.apis', text)),
            ),
            proxy:
              file.firewall.proxy === undefined
                ? null
                : proxy(file.firewall.proxy, (text) => path('firewall.proxy', text)),
            mcp: (file.firewall.mcp ?? []).map((entry) =>
              mcpServer(entry, (text) => path('firewall.mcp', text)),
            ),
            agents: (file.firewall.agents ?? []).map((entry) =>
              agentTools(entry, (text) => path('firewall.agents', text)),
            ),
          },
  };
}

function bundles(entry: ConfigFile['bundles'], path: (field: string, text: string) => string): BundleSetting {
  const { source = 'embedded', every = '10s', rewind_to = null, keys = [] } = entry ?? {};
  const opa_keys = Object.fromEntries(
    Object.entries(entry?.opa_keys ?? {}).map(([id, one]) => [
      id,
      { ...one, key: isPem(one.key) ? one.key : path('bundles.opa_keys', one.key) },
    ]),
  );
  const rest = { every_ms: duration(every), rewind_to, keys, opa_keys };
  const inFolder = (text: string) => path('bundles.source', text);
  if (!isRegoSource(source))
    return {
      source: source === 'embedded' || isServer(source) ? source : inFolder(source),
      rego: null,
      ...rest,
    };
  const rego = parseRegoSource(source);
  if (typeof rego === 'string') throw new RangeError(`unchecked bundles.source: ${rego}`);
  if (rego.kind === 'folder') return { source, rego: { ...rego, path: inFolder(rego.path) }, ...rest };
  return { source, rego: rego.protocol === 'file' ? { ...rego, url: inFolder(rego.url) } : rego, ...rest };
}

function storeOf(text: string, path: (text: string) => string): StoreSetting {
  const address = parseStoreUrl(text);
  if (typeof address === 'string') throw new RangeError(`unchecked store: ${address}`);
  const from = (file: string | null) => (file === null ? null : path(file));
  const { tls } = address;
  const whole = {
    ...address,
    tls: tls === null ? null : { ...tls, ca: from(tls.ca), cert: from(tls.cert), key: from(tls.key) },
  };
  return { shown: shownStoreUrl(whole), schema: whole.schema, address: () => whole };
}

/** Either form of an address. Members that the long form lacks are the short one's. */
type ListenerEntry = NonNullable<NonNullable<ConfigFile['listen']>['decision']>;

/** A socket is for its user and group: a proxy beside us may be in the group. */
const SOCKET_MODE = '0660';

function listener(entry: ListenerEntry, path: (field: string, text: string) => string): Listener {
  const { address, tls, mode = SOCKET_MODE } = typeof entry === 'string' ? { address: entry } : entry;
  const from = (text: string) => path('listen', text);
  return {
    address,
    tls:
      tls === undefined
        ? null
        : {
            cert: from(tls.cert),
            key: from(tls.key),
            client_ca: tls.client_ca === undefined ? null : from(tls.client_ca),
            peers: tls.peers ?? null,
          },
    mode: Number.parseInt(mode, 8),
  };
}

/** The deployment's org and env: as said, else those of the only trust entry, else local and default. */
function home(file: ConfigFile): { org: string; env: string } {
  const trusted = new Map<string, TrustEntry>(
    (file.trust ?? []).map((entry) => [`${entry.org}/${entry.env}`, entry]),
  );
  const [first] = trusted.values();
  const only = trusted.size === 1 ? first : undefined;
  return { org: file.org ?? only?.org ?? 'local', env: file.env ?? only?.env ?? 'default' };
}

function decisionLogs(
  entry: ConfigFile['decision_logs'],
  path: (text: string) => string,
): DecisionLogs | null {
  if (entry === undefined) return null;
  const {
    min_delay_seconds = 5,
    max_delay_seconds = 60,
    upload_size_limit_bytes = 1_048_576,
  } = entry.reporting ?? {};
  return {
    url: entry.url.replace(/\/+$/, ''),
    token_file: entry.token_file === undefined ? null : path(entry.token_file),
    partition_name: entry.partition_name ?? null,
    min_delay_ms: min_delay_seconds * 1000,
    max_delay_ms: Math.max(min_delay_seconds, max_delay_seconds) * 1000,
    size_limit_bytes: upload_size_limit_bytes,
    timeout_ms: (entry.response_header_timeout_seconds ?? 10) * 1000,
  };
}

type TracesEntry = NonNullable<ConfigFile['telemetry']>['traces'];

function traces(entry: TracesEntry, path: (text: string) => string): Traces | null {
  if (entry === undefined) return null;
  return {
    url: `${entry.endpoint.replace(/\/+$/, '')}/v1/traces`,
    headers_file: entry.headers_file === undefined ? null : path(entry.headers_file),
    service_name: entry.service_name ?? 'lemma',
    sampling_ratio: entry.sampling_ratio ?? 1,
    timeout_ms: (entry.timeout_seconds ?? 10) * 1000,
    max_queue_size: entry.max_queue_size ?? 4096,
  };
}

function limits({
  concurrency = 512,
  queue = 256,
  queue_ms = 10,
  log_ms = 500,
  feed_ms = 100,
  per_source,
}: ConfigFile['limits'] = {}): Limits {
  return {
    concurrency,
    queue,
    queue_ms,
    log_ms,
    feed_ms,
    per_source:
      per_source === undefined
        ? null
        : { rate: per_source.rate, burst: per_source.burst ?? 2 * per_source.rate },
  };
}

function at(entry: { org?: string | undefined; env?: string | undefined }, org: string, env: string) {
  return { org: entry.org ?? org, env: entry.env ?? env };
}

function route(entry: RouteEntry, org: string, env: string): Route {
  return {
    id: entry.id,
    ...at(entry, org, env),
    host: entry.host,
    path: entry.path,
    methods: entry.methods,
    api: entry.api,
    action: entry.action,
    scope: entry.scope,
    audience: entry.audience,
    risk: entry.risk,
    body: entry.body ?? 'none',
    ...(entry.headers === undefined ? {} : { headers: entry.headers.map((name) => name.toLowerCase()) }),
    taint_on_response: entry.taint_on_response ?? false,
    forward_credential: entry.forward_credential ?? false,
    mode: entry.mode ?? 'enforce',
    public: entry.public ?? false,
    encoded_slash: entry.encoded_slash ?? 'deny',
    upgrade: entry.upgrade ?? 'deny',
  };
}

function api(entry: ApiEntry, path: (text: string) => string): FirewallApi {
  return {
    id: entry.id,
    base_url: entry.base_url,
    methods: entry.methods,
    path_prefixes: entry.path_prefixes,
    scope: entry.scope,
    risk: entry.risk,
    action: entry.action,
    taint_on_response: entry.taint_on_response ?? false,
    body: entry.body ?? 'none',
    forward_headers: entry.forward_headers?.map((name) => name.toLowerCase()) ?? null,
    allow_private: entry.allow_private ?? false,
    upgrade: entry.upgrade ?? 'deny',
    inject:
      entry.inject === undefined
        ? null
        : { header: entry.inject.header.toLowerCase(), value_file: path(entry.inject.value_file) },
  };
}

function proxy(entry: ProxyEntry, path: (text: string) => string): FirewallProxy {
  return {
    allow: entry.allow,
    scope: entry.scope,
    risk: entry.risk,
    action: entry.action ?? 'proxy.connect',
    audience: entry.audience ?? null,
    taint_on_response: entry.taint_on_response ?? false,
    allow_private: entry.allow_private ?? false,
    credential_file: entry.credential_file === undefined ? null : path(entry.credential_file),
  };
}

function permitted(file: ConfigFile, routes: RoutesFile): string[] {
  const names = [...(file.permit_method_override ?? []), ...routes.permit_method_override];
  return [...new Set(names.map((name) => name.toLowerCase()))];
}

/** A host name as an id: other characters become hyphens. */
export function nodeName(host: string): string {
  const name = host
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 64);
  return name === '' ? 'node' : name;
}

function duration(text: string): number {
  const value = parseDuration(text);
  if (value === null) throw new RangeError(`unchecked duration ${text}`);
  return value;
}

function size(value: string | number): number {
  const bytes = typeof value === 'number' ? value : parseSize(value);
  if (bytes === null) throw new RangeError(`unchecked size ${value}`);
  return bytes;
}
