import { sha256 } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import { canonicalJson } from '../crypto/jcs.ts';
import { Denial, InputError, type Problem } from '../reason.ts';
import { hostWithoutPort } from '../schema/origin.ts';
import { pathProblem } from '../schema/path.ts';
import type { AuthzRequest, Route } from '../schema/request.ts';
import { asksForUpgrade, linesOf } from './headers.ts';
import { ambiguous, checkTarget, splitTarget, type Target } from './target.ts';

/** A request that has its route. `segments` are the path's, as received. */
export interface Routed {
  readonly route: Route;
  readonly target: Target;
  readonly host: string;
  readonly segments: readonly string[];
  readonly params: Readonly<Record<string, string>>;
}

/** What of a request routes look at. */
export type RouteRequest = Pick<
  AuthzRequest,
  'method' | 'host' | 'target' | 'headers' | 'routeId' | 'unrouted'
>;

export interface RouteMap {
  /** Names the map's content: the same routes give the same revision. */
  readonly revision: string;
  readonly routes: readonly Route[];
  /** Method-override headers that may pass, lower case. */
  readonly permitted: readonly string[];
  /** Step 3 of proofs.md. Throws path_ambiguous, route_unknown, method_not_allowed. */
  find(request: RouteRequest): Routed;
}

type Segment =
  | { readonly kind: 'exact'; readonly text: string }
  | { readonly kind: 'name'; readonly text: string }
  | { readonly kind: 'rest' };

interface Compiled {
  readonly route: Route;
  readonly segments: readonly Segment[];
  /** Equal for patterns that match the same paths of the same hosts. */
  readonly shape: string;
}

/**
 * `named` routes are found by their id alone: a gateway of ours names them, and no other request may meet them.
 * Throws InputError when two routes tie (`routes[i].path`: same host, same path shape, a method in common) or share an
 * id (`routes[i].id`).
 */
export function buildRouteMap(
  routes: readonly Route[],
  permitted: readonly string[] = [],
  named: readonly Route[] = [],
): RouteMap {
  const compiled = routes.map(compile);
  const all = [...compiled, ...named.map(compile)];
  const problems = [...sharedIds(all), ...ties(compiled)];
  if (problems.length > 0) throw new InputError(problems);
  const ordered = [...compiled].sort(bySpecificity);
  const byId = new Map(all.map((c) => [c.route.id, c]));
  const content = canonicalJson([routes, permitted, named]);
  const revision = `rt_${toBase64url(sha256(new TextEncoder().encode(content))).slice(0, 16)}`;
  return {
    revision,
    routes: all.map((c) => c.route),
    permitted: permitted.map((name) => name.toLowerCase()),
    find: (request) => find(request, ordered, byId),
  };
}

function compile(route: Route): Compiled {
  const segments = route.path
    .slice(1)
    .split('/')
    .map((text): Segment => {
      if (text === '**') return { kind: 'rest' };
      const name = /^\{(.+)\}$/.exec(text)?.[1];
      return name === undefined ? { kind: 'exact', text } : { kind: 'name', text: name };
    });
  const shape = segments.map((s) => (s.kind === 'exact' ? `=${s.text}` : s.kind)).join('/');
  return { route, segments, shape: `${route.host} ${shape}` };
}

function sharedIds(compiled: readonly Compiled[]): Problem[] {
  const ids = compiled.map((c) => c.route.id);
  return ids.flatMap((id, i) =>
    ids.indexOf(id) === i
      ? []
      : [{ field: `routes[${ids.indexOf(id)}].id`, message: `"${id}" is taken twice` }],
  );
}

function ties(compiled: readonly Compiled[]): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, Compiled>();
  for (const [index, one] of compiled.entries()) {
    for (const method of one.route.methods) {
      const other = seen.get(`${method} ${one.shape}`);
      if (other === undefined) seen.set(`${method} ${one.shape}`, one);
      else {
        problems.push({
          field: `routes[${index}].path`,
          message: `ties with route "${other.route.id}" for ${method}: make one host or path more specific`,
        });
      }
    }
  }
  return problems;
}

const KIND_ORDER = { exact: 0, name: 1, rest: 2 } as const;

/** Exact host before the longer wildcard before `*`; then segment by segment: exact before {name} before `**`. */
function bySpecificity(a: Compiled, b: Compiled): number {
  const host = hostRank(b.route.host) - hostRank(a.route.host);
  if (host !== 0) return host;
  for (let i = 0; i < Math.max(a.segments.length, b.segments.length); i++) {
    const left = a.segments[i];
    const right = b.segments[i];
    if (left === undefined || right === undefined) return left === undefined ? -1 : 1;
    const kind = KIND_ORDER[left.kind] - KIND_ORDER[right.kind];
    if (kind !== 0) return kind;
  }
  return 0;
}

function hostRank(host: string): number {
  if (host === '*') return 0;
  return host.startsWith('*.') ? host.length : 1000;
}

function find(
  request: RouteRequest,
  ordered: readonly Compiled[],
  byId: ReadonlyMap<string, Compiled>,
): Routed {
  if (request.unrouted !== undefined) throw new Denial('route_unknown', request.unrouted);
  const target = splitTarget(request.target);
  const { encodedSlash } = checkTarget(request.host, target);
  const host = hostWithoutPort(request.host);
  const segments = target.path.slice(1).split('/');
  const found = select(request, host, segments, ordered, byId);
  if (encodedSlash) {
    const allowed = found.some((c) => c.route.encoded_slash === 'allow');
    const problem = pathProblem(target.path, allowed);
    if (problem !== null) throw ambiguous(problem.problem);
  }
  if (found.length === 0)
    throw new Denial('route_unknown', `no route for ${host}${target.path}`, { host, path: target.path });
  const chosen = found.find((c) => c.route.methods.includes(request.method));
  if (chosen === undefined) {
    const methods = found.flatMap((c) => c.route.methods);
    throw new Denial('method_not_allowed', `${request.method} is not among ${methods.join(', ')}`, {
      methods,
    });
  }
  if (encodedSlash && chosen.route.encoded_slash !== 'allow') throw ambiguous('escaped slash');
  checkUpgrade(request, chosen.route);
  return { route: chosen.route, target, host, segments, params: paramsOf(chosen, segments) };
}

/** The most specific matches: all routes of the one host and path shape that wins. */
function select(
  request: RouteRequest,
  host: string,
  segments: readonly string[],
  ordered: readonly Compiled[],
  byId: ReadonlyMap<string, Compiled>,
): readonly Compiled[] {
  const matches = (c: Compiled) => hostMatches(c.route.host, host) && pathMatches(c.segments, segments);
  if (request.routeId !== undefined) {
    const named = byId.get(request.routeId);
    return named !== undefined && matches(named) ? [named] : [];
  }
  const best = ordered.find(matches);
  return best === undefined ? [] : ordered.filter((c) => c.shape === best.shape);
}

function hostMatches(pattern: string, host: string): boolean {
  if (pattern === '*') return host !== '';
  if (pattern.startsWith('*.')) return host.length > pattern.length - 1 && host.endsWith(pattern.slice(1));
  return pattern === host;
}

function pathMatches(pattern: readonly Segment[], segments: readonly string[]): boolean {
  for (const [i, part] of pattern.entries()) {
    const segment = segments[i];
    if (part.kind === 'rest') return true;
    if (segment === undefined) return false;
    if (part.kind === 'exact' ? part.text !== segment : segment === '') return false;
  }
  return segments.length === pattern.length;
}

function paramsOf(compiled: Compiled, segments: readonly string[]): Record<string, string> {
  const params = Object.create(null) as Record<string, string>;
  for (const [i, part] of compiled.segments.entries()) {
    if (part.kind === 'name') params[part.text] = segments[i] ?? '';
  }
  return params;
}

/** An upgraded connection or a tunnel outlives a kill. */
function checkUpgrade(request: RouteRequest, route: Route): void {
  const upgrades =
    request.method === 'CONNECT' ||
    linesOf(request.headers, ':protocol').length > 0 ||
    asksForUpgrade(request.headers);
  if (upgrades && route.upgrade !== 'allow') {
    throw new Denial('method_not_allowed', 'upgrade and CONNECT need `upgrade: allow` on the route', {
      route: route.id,
    });
  }
}
