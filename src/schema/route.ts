import type { FromSchema } from 'json-schema-to-ts';
import { CONCRETE_SCOPE_PATTERN, HEADER_PATTERN, ID_PATTERN, PROFILES } from './common.ts';
import { isHostName } from './origin.ts';
import { pathProblem } from './path.ts';

/** The route map (contracts.md, "Route map"): which api, action, scope and audience a request stands for. */

/** Headers that name another method or path than the request line: denied unless the route map permits them. */
export const OVERRIDE_HEADERS = [
  'X-HTTP-Method-Override',
  'X-HTTP-Method',
  'X-Method-Override',
  'X-Original-URL',
  'X-Rewrite-URL',
] as const;

const id = { type: 'string', pattern: ID_PATTERN } as const;

/** An upper-case RFC 9110 token: methods are compared exactly, and real ones are upper case. */
export const ROUTE_METHOD_PATTERN = "^[!#$%&'*+.^_`|~0-9A-Z-]{1,32}$";

export const methodsSchema = {
  type: 'array',
  minItems: 1,
  maxItems: 32,
  uniqueItems: true,
  items: { type: 'string', pattern: ROUTE_METHOD_PATTERN },
  description: 'HTTP methods, upper case, compared exactly',
} as const;

export const scopeSchema = {
  type: 'array',
  maxItems: 64,
  uniqueItems: true,
  items: { type: 'string', pattern: CONCRETE_SCOPE_PATTERN },
  description: 'Scopes that the proof must cover, all of them; [] asks for none',
} as const;

export const routeSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'host', 'path', 'methods', 'api', 'action', 'scope', 'audience', 'risk'],
  description: 'One route; the most specific that matches wins',
  properties: {
    id: {
      ...id,
      description: 'Unique name of the route; Envoy may name it in context_extensions.lemma_route',
    },
    org: { ...id, description: "Organisation whose roots may reach it; default: the deployment's" },
    env: { ...id, description: "Environment whose roots may reach it; default: the deployment's" },
    host: {
      type: 'string',
      description: 'Lower case, without port: exact, *.example.com (one or more labels), or *',
    },
    path: {
      type: 'string',
      description: '/v1/documents/{id}: {name} is one segment; ** only as the last, any rest, none included',
    },
    methods: methodsSchema,
    api: { ...id, description: 'The api that the route belongs to' },
    action: { ...id, description: 'What the policy calls this' },
    scope: scopeSchema,
    audience: { type: 'string', description: 'Origin that the proof must be for: https://api.example.com' },
    risk: { enum: PROFILES, description: "Lowest profile that decides; the runtime's may be stricter" },
    body: {
      enum: ['none', 'digest', 'json'],
      default: 'none',
      description: 'What the policy needs of the body',
    },
    headers: {
      type: 'array',
      maxItems: 64,
      uniqueItems: true,
      items: { type: 'string', pattern: HEADER_PATTERN },
      default: [],
      description:
        'Request headers that the policy sees, beside those that its profile lists; never credentials',
    },
    taint_on_response: {
      type: 'boolean',
      default: false,
      description: 'Whether its answers may carry injected instructions: the runtime is tainted',
    },
    forward_credential: {
      type: 'boolean',
      default: false,
      description: 'Whether the upstream gets the credential, to verify it itself',
    },
    mode: {
      enum: ['enforce', 'observe'],
      default: 'enforce',
      description: 'observe: answered allow, logged with the true verdict',
    },
    public: {
      type: 'boolean',
      default: false,
      description: 'Whether no credential is asked for; policy still decides, and it is still logged',
    },
    encoded_slash: {
      enum: ['deny', 'allow'],
      default: 'deny',
      description: 'Whether %2f may stand within a segment of the path',
    },
    upgrade: {
      enum: ['deny', 'allow'],
      default: 'deny',
      description: 'Whether Upgrade and CONNECT are let through; such a connection outlives a kill',
    },
  },
} as const;

export const permitMethodOverrideSchema = {
  type: 'array',
  items: { type: 'string' },
  default: [],
  examples: [OVERRIDE_HEADERS],
  description: 'Override headers that requests may carry; the decision is still about the request line',
} as const;

/** A routes file: the list itself, or `{routes, permit_method_override}`. */
export const routesFileSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Lemma route map v1',
  type: ['array', 'object'],
  items: routeSchema,
  additionalProperties: false,
  required: ['routes'],
  properties: {
    routes: { type: 'array', items: routeSchema, description: 'The routes' },
    permit_method_override: permitMethodOverrideSchema,
  },
} as const;

/** A route as a file has it: what has a default may be absent. `Route` in request.ts has them filled in. */
export type RouteEntry = FromSchema<typeof routeSchema, { keepDefaultedPropertiesOptional: true }>;

/** What is wrong with a route's host pattern, or null. */
export function hostPatternProblem(host: string): string | null {
  if (host === '*') return null;
  if (host !== host.toLowerCase()) return `must be lower case: ${host.toLowerCase()}`;
  if (/:\d+$/.test(host) && !host.endsWith(']')) return 'must have no port: hosts are compared without it';
  const name = host.startsWith('*.') ? host.slice(2) : host;
  if (name.includes('*')) return 'may have * only alone, or as the whole first label: *.example.com';
  if (isHostName(name) || (name === host && isIpv6Literal(name))) return null;
  return 'must be a host name (api.example.com), *.example.com, or *';
}

function isIpv6Literal(host: string): boolean {
  return host.startsWith('[') && URL.parse(`http://${host}`)?.hostname === host;
}

const PARAMETER = /^\{([A-Za-z_][A-Za-z0-9_]{0,63})\}$/;

/** What is wrong with a route's path pattern, or null. */
export function pathPatternProblem(path: string, encodedSlash = false): string | null {
  if (!path.startsWith('/')) return 'must begin with /';
  const segments = path.slice(1).split('/');
  const names = new Set<string>();
  for (const [i, segment] of segments.entries()) {
    if (segment === '**') {
      if (i < segments.length - 1) return 'may have ** only as the last segment';
      continue;
    }
    const name = PARAMETER.exec(segment)?.[1];
    if (name === undefined) {
      const problem = literalProblem(segment);
      if (problem !== null) return problem;
    } else if (names.has(name)) {
      return `has {${name}} twice: give each a name of its own`;
    } else {
      names.add(name);
    }
  }
  const sample = segments.map((s) => (s === '**' || PARAMETER.test(s) ? 'x' : s));
  const ambiguous = pathProblem(`/${sample.join('/')}`, encodedSlash);
  return ambiguous === null ? null : `no request can match it, it is ambiguous: ${ambiguous.problem}`;
}

function literalProblem(segment: string): string | null {
  if (segment.includes('*')) return 'has no * within a segment: {name} is any one segment, ** any rest';
  if (/[{}]/.test(segment)) return 'must have {name} as a whole segment, a name of letters, digits and _';
  return null;
}
