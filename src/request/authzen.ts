import { fromBase64 } from '../crypto/base64url.ts';
import { Denial, InputError, type Problem } from '../reason.ts';
import type { EvaluationBody } from '../schema/api-authzen.ts';
import type { Decision } from '../schema/decision.ts';
import type { AsserterOf, AuthzRequest, HeaderLine, Route } from '../schema/request.ts';
import { targetOf } from './rest.ts';
import type { RouteMap } from './route-map.ts';

/**
 * The border of OpenID AuthZEN. `action.name` names a route, by its id or its action. A resource that says which request
 * it stands for must meet that route; another one stands for the route's own request, its pattern filled in.
 */

/** Members of `context` that are for Lemma itself, and the headers that they stand for. */
const CARRIED: Readonly<Record<string, string>> = {
  lemma_credential: 'x-lemma-credential',
  lemma_proof: 'x-lemma-proof',
  lemma_pop: 'x-lemma-pop',
  lemma_content_digest: 'content-digest',
};
const BODY = 'lemma_body';
const OURS = /^lemma_/;
const READING: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

export interface Asked {
  readonly routes: RouteMap;
  /** Who asks, where it may say who the subject is; else null. */
  readonly asserter: AsserterOf | null;
  readonly source: AuthzRequest['source'];
}

type Place = Pick<AuthzRequest, 'method' | 'scheme' | 'host' | 'target'> & {
  readonly routeId?: string;
  readonly unrouted?: string;
};

/** Throws InputError: members that cannot be read in one way. */
export function toRequest(evaluation: EvaluationBody, { routes, asserter, source }: Asked): AuthzRequest {
  const problems: Problem[] = [];
  const { subject, action, resource, context = {} } = evaluation;
  const place = placeOf(evaluation, routes, problems);
  const headers = headersOf(context, problems);
  const seen = bodyOf(context, problems);
  if (problems.length > 0) throw new InputError(problems);
  const proven = headers.some(([name]) => name === 'x-lemma-credential' || name === 'x-lemma-proof');
  const shown = Object.fromEntries(Object.entries(context).filter(([name]) => !OURS.test(name)));
  return {
    border: 'authzen',
    ...place,
    headers,
    body: { seen, partial: false, size: seen === null ? null : seen.length },
    protocol: '',
    source,
    traceId: null,
    authzen: { subject, action, resource, context: shown },
    ...(asserter === null ? {} : { enforcementPoint: asserter.by }),
    ...(proven ? namedBy(subject) : {}),
    ...(proven || asserter === null ? {} : { asserted: { id: subject.id, ...asserter } }),
  };
}

/** A decision about a proof must not be read as one about somebody else. */
function namedBy({ type, id }: EvaluationBody['subject']): Pick<AuthzRequest, 'runtimeId' | 'subjectId'> {
  return type === 'runtime' ? { runtimeId: id } : { subjectId: id };
}

function placeOf({ action, resource }: EvaluationBody, routes: RouteMap, problems: Problem[]): Place {
  const said = resource.properties ?? {};
  const text = (name: string, from: Record<string, unknown> = said, field = 'resource') => {
    const value = from[name];
    if (value === undefined || typeof value === 'string') return value;
    problems.push({ field: `${field}.properties.${name}`, message: 'must be a string' });
    return undefined;
  };
  const method = text('method', action.properties ?? {}, 'action') ?? text('method');
  const named = routesNamed(action.name, resource.type, routes.routes, method);
  if (said.url === undefined && said.host === undefined && said.path === undefined)
    return ownPlace(action.name, named, method, resource, routes);
  const given = { url: text('url'), scheme: text('scheme'), host: text('host'), target: text('path') };
  const found: Problem[] = [];
  const described = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const target = targetOf({ method: method ?? '', ...described }, found);
  for (const { field, message } of found) {
    const name = field === 'target' ? 'path' : field;
    problems.push({ field: `resource.properties.${name}`, message });
  }
  if (method === undefined)
    problems.push({
      field: 'resource.properties.method',
      message: 'missing: say which method of the resource',
    });
  const place = { method: method ?? '', ...target };
  if (named.length === 0) return { ...place, unrouted: `no route has the action ${action.name}` };
  return meeting(place, ({ id, action: acts }) => id === action.name || acts === action.name, routes);
}

/** Those that an action names; its own id alone, where it is one. */
function routesNamed(
  name: string,
  type: string,
  routes: readonly Route[],
  method: string | undefined,
): readonly Route[] {
  const named = routes.filter((route) => route.id === name);
  if (named.length > 0) return named;
  const acting = routes.filter((route) => route.action === name);
  const narrowed = acting.length > 1 ? acting.filter((route) => route.api === type) : acting;
  if (narrowed.length < 2 || method === undefined) return narrowed;
  return narrowed.filter((route) => route.methods.includes(method));
}

/** It goes where any request goes, the most specific route: the action only says where it must end. */
function meeting(place: Place, isWanted: (route: Route) => boolean, routes: RouteMap): Place {
  try {
    const { route } = routes.find({ ...NOTHING, ...place });
    if (isWanted(route)) return { ...place, routeId: route.id };
    const unrouted = `the resource is reached by ${route.id}, whose action ${route.action} was not asked about`;
    return { ...place, unrouted };
  } catch (error) {
    // `decide` finds the same, and keeps it.
    if (error instanceof Denial) return place;
    throw error;
  }
}

const NOTHING: Omit<AuthzRequest, 'method' | 'scheme' | 'host' | 'target'> = {
  border: 'authzen',
  headers: [],
  body: { seen: null, partial: false, size: null },
  protocol: '',
  source: { address: '', principal: '' },
  traceId: null,
};

function ownPlace(
  action: string,
  named: readonly Route[],
  method: string | undefined,
  resource: EvaluationBody['resource'],
  routes: RouteMap,
): Place {
  const nowhere = (unrouted: string): Place => ({
    method: method ?? '',
    scheme: '',
    host: '',
    target: '/',
    unrouted,
  });
  const [route, ...more] = named;
  if (route === undefined) return nowhere(`no route has the action ${action}`);
  if (more.length > 0)
    return nowhere(`${named.map(({ id }) => id).join(', ')} have the action ${action}: name one by its id`);
  const chosen = method ?? methodOf(route);
  if (chosen === null) return nowhere(`${route.id} has several methods: say action.properties.method`);
  const target = filled(route, resource);
  if (route.host.includes('*') || target === null)
    return nowhere(`${route.id} is no single resource: say resource.properties.url`);
  const scheme = new URL(route.audience).protocol.slice(0, -1);
  return meeting({ method: chosen, scheme, host: route.host, target }, ({ id }) => id === route.id, routes);
}

/** Of several, where none changes anything, the first. */
function methodOf({ methods }: Route): string | null {
  const [first, ...more] = methods;
  if (first === undefined) return null;
  return more.length === 0 || methods.every((method) => READING.includes(method)) ? first : null;
}

/** The pattern with its names replaced; null where something is left open. */
function filled({ path }: Route, { id, properties = {} }: EvaluationBody['resource']): string | null {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  if (path.endsWith('**')) return null;
  let target = path;
  for (const name of names) {
    const own = Object.hasOwn(properties, name) ? properties[name] : undefined;
    const value = own ?? (names.length === 1 || name === 'id' ? id : undefined);
    if (typeof value !== 'string' && typeof value !== 'number') return null;
    target = target.replace(`{${name}}`, () => asSegment(String(value)));
  }
  return target;
}

/** RFC 3986 `pchar` stays, but `;`; a `/` becomes one that no route takes. */
function asSegment(value: string): string {
  return value.toWellFormed().replaceAll(/[^A-Za-z0-9\-._~!$&'()*+,=:@]+/g, encodeURIComponent);
}

function headersOf(context: Record<string, unknown>, problems: Problem[]): HeaderLine[] {
  return Object.entries(context).flatMap(([name, value]): HeaderLine[] => {
    if (!OURS.test(name) || name === BODY) return [];
    const header = Object.hasOwn(CARRIED, name) ? CARRIED[name] : undefined;
    if (header === undefined) {
      const known = [...Object.keys(CARRIED), BODY].join(', ');
      problems.push({ field: `context.${name}`, message: `unknown member; those for Lemma are ${known}` });
    } else if (typeof value === 'string' && !/[^\t\x20-\xff]/.test(value)) return [[header, value.trim()]];
    else problems.push({ field: `context.${name}`, message: 'must be the text of a header' });
    return [];
  });
}

function bodyOf(context: Record<string, unknown>, problems: Problem[]): Uint8Array | null {
  const text = context[BODY];
  if (text === undefined) return null;
  const bytes = typeof text === 'string' ? fromBase64(text) : null;
  if (bytes === null)
    problems.push({
      field: `context.${BODY}`,
      message: 'must be canonical base64 with its padding; "" is no body',
    });
  return bytes;
}

/** One answer of AuthZEN. `context` says no more than any caller is told. */
export interface EvaluationAnswer {
  readonly decision: boolean;
  readonly context: object;
}

export function toResponse({ verdict, decision_id, reason, result, observed }: Decision): EvaluationAnswer {
  const { message, obligations } = result ?? {};
  return {
    decision: verdict === 'allow',
    context: {
      decision_id,
      reason,
      ...(message === undefined ? {} : { message }),
      ...(obligations === undefined ? {} : { obligations }),
      ...(observed ? { observed } : {}),
    },
  };
}
