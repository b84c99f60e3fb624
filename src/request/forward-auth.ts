import type { Decision } from '../schema/decision.ts';
import type { AuthzRequest, BodySeen, HeaderLine } from '../schema/request.ts';
import { toRequest as fromEnvoy, IDENTITY_HEADERS, sentLine, toResponse as toEnvoy } from './envoy.ts';
import { joined, linesOf } from './headers.ts';
import { CREDENTIAL_HEADERS, isLemmaHeader } from './strip.ts';

/**
 * The border of proxies that ask over plain HTTP. Each says what it was asked in one place, which it writes itself
 * (the configurations in `tools/` show how), and nothing else is read: what a client sends under another proxy's names
 * is a header like any other.
 */

export const FORWARD_AUTH_PROXIES = ['envoy', 'nginx', 'traefik', 'caddy'] as const;
export type ForwardAuthProxy = (typeof FORWARD_AUTH_PROXIES)[number];

/** Before the proxy's name in the path of what it asks. */
export const FORWARD_AUTH_PREFIX = '/forward-auth/';

/** Where a proxy says what its client sent: names of headers, or null for the request line. */
interface Source {
  readonly method: string | null;
  readonly uri: string | null;
  readonly host: string;
  readonly scheme: string;
  /** The client's address; null where no header of the proxy's own says it. */
  readonly address: string | null;
  /** Headers that say how the client framed its body, of which the question holds nothing, by what they stand for. */
  readonly framing: Readonly<Record<string, string>>;
}

/** Traefik's ForwardAuth and Caddy's forward_auth; both drop what the client sent under these names. */
const X_FORWARDED: Source = {
  method: 'x-forwarded-method',
  uri: 'x-forwarded-uri',
  host: 'x-forwarded-host',
  scheme: 'x-forwarded-proto',
  address: 'x-forwarded-for',
  framing: {},
};

const SOURCES: Record<ForwardAuthProxy, Source> = {
  // http_service: the original method, and `path_prefix` before the original path.
  envoy: {
    method: null,
    uri: null,
    host: 'host',
    scheme: 'x-forwarded-proto',
    address: null,
    framing: {},
  },
  // auth_request: a GET; `proxy_set_header` says the rest.
  nginx: {
    method: 'x-original-method',
    uri: 'x-original-uri',
    host: 'host',
    scheme: 'x-forwarded-proto',
    address: 'x-real-ip',
    framing: {
      'x-original-content-length': 'content-length',
      'x-original-transfer-encoding': 'transfer-encoding',
    },
  },
  traefik: X_FORWARDED,
  caddy: X_FORWARDED,
};

/** Of the connection between the proxy and Lemma, or of the question itself. */
const OF_THE_QUESTION = ['host', 'connection', 'content-length', 'transfer-encoding', 'expect'];

/** Envoy writes it, over a client's own, wherever it sends the body. */
const PARTIAL_BODY = 'x-envoy-auth-partial-body';

/**
 * Copied by name from an allow to the upstream's request, absent ones taken off. A proxy that can do no more than that
 * can't take off another `x-lemma-` name, so that one is refused.
 */
const COPIED: readonly string[] = [
  ...IDENTITY_HEADERS,
  ...CREDENTIAL_HEADERS,
  'signature',
  'signature-input',
  'authorization',
];

/** What a proxy asked, as it came. */
export interface Asked {
  readonly proxy: ForwardAuthProxy;
  readonly method: string;
  /** The request line's target, prefix and all. */
  readonly target: string;
  /** Lines as received, in order. */
  readonly headers: readonly HeaderLine[];
  /** What came as the question's body; `partial` when more came than was kept. */
  readonly body: { readonly bytes: Uint8Array; readonly partial: boolean };
}

/**
 * The request that the proxy was asked for. Never throws: one that can be read in two ways, or not at all, says so in
 * `ambiguous`, and is denied for it (`header_ambiguous`).
 */
export function toRequest(asked: Asked): AuthzRequest {
  const { proxy } = asked;
  const source = SOURCES[proxy];
  const lines = asked.headers.map(([key, value]) => ({ key, raw_value: Buffer.from(value, 'latin1') }));
  const plain = fromEnvoy({ attributes: { request: { http: { header_map: { headers: lines } } } } });
  const said = read(asked, source, plain.headers);
  return {
    ...plain,
    border: 'forward-auth',
    ...said.values,
    headers: clientLines(source, plain.headers),
    body: bodySeen(asked, plain),
    source: { address: addressOf(source, plain.headers), principal: '' },
    ...(said.problem === null ? {} : { ambiguous: `${said.problem}; see tools/${proxy}` }),
  };
}

function read(asked: Asked, source: Source, lines: readonly HeaderLine[]) {
  const { proxy, method, target } = asked;
  const problems: string[] = [];
  const one = (name: string, form: RegExp): string => {
    const values = linesOf(lines, name);
    const [value = ''] = values;
    if (values.length === 1 && form.test(value)) return value;
    const came = values.length === 1 ? 'it came as no such thing' : `it came ${values.length} times`;
    problems.push(`${proxy} must say ${name} once, and ${came}`);
    return '';
  };
  const values = {
    method: source.method === null ? method : one(source.method, /^[^\s,]+$/),
    target:
      source.uri === null ? target.slice(FORWARD_AUTH_PREFIX.length + proxy.length) : one(source.uri, /^./s),
    host: one(source.host, /^[^\s,]+$/),
    scheme: one(source.scheme, /^https?$/),
  };
  const unknown =
    proxy === 'envoy' ? undefined : lines.find(([name]) => isLemmaHeader(name) && !COPIED.includes(name));
  if (unknown !== undefined) problems.push(`${proxy} could not keep ${unknown[0]} from the upstream`);
  return { values, problem: problems[0] ?? null };
}

/** The client's own lines, as far as the proxy passed them on; those of its body's framing under their own names. */
function clientLines({ framing, ...names }: Source, lines: readonly HeaderLine[]): HeaderLine[] {
  const written = new Set<string | null>([...Object.values(names), ...OF_THE_QUESTION]);
  return lines
    .filter(([name]) => !written.has(name))
    .map(([name, value]) => [Object.hasOwn(framing, name) ? (framing[name] ?? name) : name, value]);
}

/**
 * The question's own length says nothing of the client's body: nginx and Caddy ask without it, Envoy and Traefik send it
 * when they are told to. Only Envoy marks that it did, so that only there no bytes are no body.
 */
function bodySeen({ proxy, body }: Asked, { headers }: AuthzRequest): BodySeen {
  const { bytes } = body;
  const marks = proxy === 'envoy' ? linesOf(headers, PARTIAL_BODY) : [];
  const partial = body.partial || marks.some((mark) => mark.toLowerCase() !== 'false');
  const counted = bytes.length > 0 || (marks.length > 0 && !partial);
  return { seen: bytes.length > 0 ? bytes : null, partial, size: counted ? bytes.length : null };
}

function addressOf({ address }: Source, lines: readonly HeaderLine[]): string {
  const [value = '', ...more] = address === null ? [] : linesOf(lines, address);
  return more.length === 0 && !value.includes(',') ? value : '';
}

/** An answer of plain HTTP. Header names are lower case, values byte strings: what Envoy sends for a policy's text over gRPC. */
export interface ForwardAuthAnswer {
  readonly status: 200 | 401 | 403;
  readonly headers: readonly HeaderLine[];
  readonly body: string;
}

/**
 * A decision as the proxy is told it. An allow's headers are the upstream's; what must be taken off is named to Envoy,
 * and absent for the others. Proxies know only 401 and 403 for a denial: nginx turns another status into 500, and
 * Envoy takes 5xx for an error, which `failure_mode_allow` may let through.
 */
export function toResponse(
  decision: Decision,
  request: AuthzRequest,
  proxy: ForwardAuthProxy,
): ForwardAuthAnswer {
  const message = toEnvoy(decision, request);
  if ('denied_response' in message) {
    const { status, headers, body } = message.denied_response;
    const named: HeaderLine[] = [
      ['x-lemma-decision-id', decision.decision_id],
      ['x-lemma-reason', decision.reason],
    ];
    return { status: status.code === 401 ? 401 : 403, headers: [...headers.map(sentLine), ...named], body };
  }
  const { headers, headers_to_remove } = message.ok_response;
  const set = new Map(headers.map(sentLine));
  const handled =
    proxy === 'envoy' ? namedToEnvoy(headers_to_remove) : kept(request, set, new Set(headers_to_remove));
  return { status: 200, headers: [...set, ...handled], body: '' };
}

function namedToEnvoy(names: readonly string[]): HeaderLine[] {
  return names.length === 0 ? [] : [['x-envoy-auth-headers-to-remove', names.join(', ')]];
}

/** What the client sent under names that the proxy copies, and the upstream may see. */
function kept(
  request: AuthzRequest,
  set: ReadonlyMap<string, string>,
  removed: ReadonlySet<string>,
): HeaderLine[] {
  return COPIED.flatMap((name) => {
    const value = joined(request.headers, name);
    return value === null || set.has(name) || removed.has(name) ? [] : [[name, value] as const];
  });
}
