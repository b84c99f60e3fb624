import { InputError, type Problem } from '../reason.ts';
import { APPEND } from '../schema/check.ts';
import type { Config, FirewallApi } from '../schema/config.ts';
import type { Decision } from '../schema/decision.ts';
import { hostWithoutPort, isOrigin } from '../schema/origin.ts';
import { pathCovered } from '../schema/path.ts';
import type { AuthzRequest, BodySeen, HeaderLine, Route } from '../schema/request.ts';
import { hostPatternProblem, pathPatternProblem } from '../schema/route.ts';
import { agentToolRoutes } from './agent-tools.ts';
import { sentLine, toResponse as toEnvoy } from './envoy.ts';
import { mcpRoutes } from './mcp.ts';
import { absoluteTarget, apiOf, presented, proxyRoutes } from './proxy.ts';
import { headersOf } from './received.ts';
import { splitTarget } from './target.ts';

/** Where the requests of one api go. */
export interface Destination {
  readonly api: FirewallApi;
  readonly scheme: 'http' | 'https';
  /** Host, with its port where that is not the scheme's default. */
  readonly host: string;
  readonly origin: string;
  /** Path of base_url without a closing slash; empty for the root. */
  readonly basePath: string;
  /** Its path prefixes as the upstream knows them, each with its route, the longest first. */
  readonly prefixes: readonly { readonly path: string; readonly routeId: string }[];
}

/**
 * The destinations of the apis, by id. Throws InputError (`firewall.apis[i].…`) for what no request could reach, or
 * what would be read as a pattern: prefixes are plain paths.
 */
export function destinationsOf(apis: readonly FirewallApi[]): ReadonlyMap<string, Destination> {
  const problems = apis.flatMap(problemsOf);
  if (problems.length > 0) throw new InputError(problems);
  return new Map(apis.map((api) => [api.id, destinationOf(api)]));
}

/** The routes of all that goes through the firewall. Throws InputError as `destinationsOf`. */
export function firewallRoutes(
  firewall: Config['firewall'],
  realm: { readonly org: string; readonly env: string },
): Route[] {
  if (firewall === null) return [];
  const { apis, proxy, mcp, agents } = firewall;
  const proxied = proxy === null ? [] : proxyRoutes(proxy, realm);
  return [...apiRoutes(apis, realm), ...proxied, ...mcpRoutes(mcp, realm), ...agentToolRoutes(agents, realm)];
}

/**
 * A route for each path prefix of each api, for the route map: `firewall.<api>`, and from the second prefix on
 * `firewall.<api>:2`, … (a colon is in no configured id). The firewall names the route of every request, so that no
 * request for one api is ever judged by the rules of another on the same host. Throws InputError as `destinationsOf`.
 */
export function apiRoutes(
  apis: readonly FirewallApi[],
  realm: { readonly org: string; readonly env: string },
): Route[] {
  return [...destinationsOf(apis).values()].flatMap((destination) =>
    destination.prefixes.map(({ path, routeId }) => routeOf(destination, path, routeId, realm)),
  );
}

function routeOf(
  { api, host, origin }: Destination,
  path: string,
  id: string,
  { org, env }: { readonly org: string; readonly env: string },
): Route {
  return {
    id,
    org,
    env,
    host: hostWithoutPort(host),
    path: path === '/' ? '/**' : `${path}/**`,
    methods: api.methods,
    api: api.id,
    action: api.action,
    scope: api.scope,
    audience: origin,
    risk: api.risk,
    body: api.body,
    taint_on_response: api.taint_on_response,
    forward_credential: false,
    mode: 'enforce',
    public: false,
    encoded_slash: 'deny',
    upgrade: api.upgrade,
  };
}

function destinationOf(api: FirewallApi): Destination {
  const url = new URL(api.base_url);
  const basePath = url.pathname.replace(/\/$/, '');
  const prefixes = api.path_prefixes.map((prefix, i) => ({
    path: prefix === '/' ? basePath || '/' : basePath + prefix,
    routeId: i === 0 ? `firewall.${api.id}` : `firewall.${api.id}:${i + 1}`,
  }));
  return {
    api,
    scheme: url.protocol === 'https:' ? 'https' : 'http',
    host: url.host,
    origin: url.origin,
    basePath,
    prefixes: prefixes.toSorted((a, b) => b.path.length - a.path.length),
  };
}

function problemsOf(api: FirewallApi, index: number): Problem[] {
  const field = `firewall.apis[${index}]`;
  const base = baseProblem(api.base_url);
  const prefixes = api.path_prefixes.flatMap((prefix, i) => {
    const message = plainPathProblem(prefix);
    return message === null ? [] : [{ field: `${field}.path_prefixes[${i}]`, message }];
  });
  return [...(base === null ? [] : [{ field: `${field}.base_url`, message: base }]), ...prefixes];
}

function baseProblem(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || !isOrigin(url.origin) || hostPatternProblem(url.hostname) !== null) {
    return 'must be an http or https URL whose host is a name or an address, without a closing dot';
  }
  return plainPathProblem(url.pathname);
}

function plainPathProblem(path: string): string | null {
  if (/[{}*]/.test(path)) return 'must be a plain path, without { } and *: a prefix covers all below it';
  return pathPatternProblem(path);
}

/** A request as the firewall received it. */
export interface Received {
  readonly method: string;
  /** As on the request line, never normalised. */
  readonly target: string;
  /** The Host line. */
  readonly host: string;
  readonly protocol: string;
  /** Lines as received, in order. */
  readonly headers: readonly HeaderLine[];
  readonly body: BodySeen;
  readonly address: string;
}

/** No configured route has such an id, so that `decide` answers `route_unknown`. */
const NO_ROUTE = 'firewall:none';

/** Where requests go from the firewall. */
export interface Ways {
  readonly destinations: ReadonlyMap<string, Destination>;
  /** Whether it serves as a forward proxy, too. */
  readonly proxies: boolean;
  /** The credential of clients of the proxy that show none; it gives null where there is none for them. */
  readonly fallback: () => string | null;
}

export interface Asked {
  readonly request: AuthzRequest;
  /** Null where the target names no api. */
  readonly destination: Destination | null;
  /** The target was that of a client of a proxy, with scheme and host. */
  readonly proxied: boolean;
}

/**
 * What is decided: the request as the upstream would get it (its host, the base path and the rest of the target,
 * byte for byte), signed as the agent sent it.
 */
export function toRequest(received: Received, { destinations, proxies, fallback }: Ways): Asked {
  const absolute = absoluteTarget(received.target);
  const lines = absolute === null ? received.headers : presented(received.headers, fallback);
  const way = absolute === null ? reverse(received, destinations) : forward(absolute, destinations, proxies);
  const request: AuthzRequest = {
    border: 'firewall',
    method: received.method,
    ...way.sent,
    ...headersOf(lines),
    body: received.body,
    protocol: received.protocol,
    source: { address: received.address, principal: '' },
    signed: way.signed,
  };
  return { request, destination: way.destination, proxied: absolute !== null };
}

function reverse({ target, host }: Received, destinations: Ways['destinations']) {
  const [, id = '', rest = ''] = /^\/firewall\/([^/?]*)(.*)$/s.exec(target) ?? [];
  const destination = destinations.get(id) ?? null;
  const signed = { scheme: 'http', host, target };
  const sent = destination === null ? { ...signed, routeId: NO_ROUTE } : addressed(destination, rest);
  return { sent, signed, destination };
}

/** By an absolute URL that an api covers: it is decided on as the api's. */
function forward(
  absolute: NonNullable<ReturnType<typeof absoluteTarget>>,
  destinations: Ways['destinations'],
  proxies: boolean,
) {
  const { scheme, authority: host, rest } = absolute;
  const signed = { scheme, host, target: rest.startsWith('/') ? rest : `/${rest}` };
  const found = proxies ? apiOf(absolute, destinations) : null;
  if (found !== null)
    return { sent: addressed(found.destination, found.rest), signed, destination: found.destination };
  const unrouted = proxies
    ? `no api of the firewall has a base_url that covers ${scheme}://${host}${signed.target}`
    : 'firewall.proxy is not configured: requests go to /firewall/<api>/<path>';
  return { sent: { ...signed, unrouted }, signed, destination: null };
}

function addressed(destination: Destination, rest: string) {
  const { scheme, host, basePath, prefixes } = destination;
  const joined = basePath + rest;
  const target = joined.startsWith('/') ? joined : `/${joined}`;
  const { path } = splitTarget(target);
  // Without one that covers the path any will do: it does not match, and `decide` says so.
  const prefix = prefixes.find((p) => pathCovered(p.path, path)) ?? prefixes[0];
  return { scheme, host, target, routeId: prefix?.routeId ?? NO_ROUTE };
}

/** What a decision asks of the proxy. Header names are lower case. */
export type FirewallAnswer =
  | {
      readonly verdict: 'deny';
      readonly status: number;
      readonly headers: readonly HeaderLine[];
      readonly body: string;
    }
  | {
      readonly verdict: 'allow';
      /** To the upstream: set over whatever the client sent. */
      readonly set: ReadonlyMap<string, string>;
      /** Of the client's: not for the upstream. */
      readonly remove: ReadonlySet<string>;
      /** To the agent: set over the upstream's, or added to them. */
      readonly response: readonly {
        readonly name: string;
        readonly value: string;
        readonly append: boolean;
      }[];
    };

/** A decision as the firewall carries it out: the same statuses, bodies and headers as Envoy is told to send. */
export function toResponse(decision: Decision, request: AuthzRequest): FirewallAnswer {
  const message = toEnvoy(decision, request);
  if ('denied_response' in message) {
    const { status, headers, body } = message.denied_response;
    return { verdict: 'deny', status: status.code, headers: headers.map(sentLine), body };
  }
  const { headers, headers_to_remove, response_headers_to_add } = message.ok_response;
  return {
    verdict: 'allow',
    set: new Map(headers.map(sentLine)),
    remove: new Set(headers_to_remove),
    response: response_headers_to_add.map((option) => {
      const [name, value] = sentLine(option);
      return { name, value, append: option.append_action === APPEND };
    }),
  };
}
