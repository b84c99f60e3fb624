import type { Agent, IncomingHttpHeaders } from 'node:http';
import type { ForwardAuthProxy } from '../../src/request/forward-auth.ts';
import { send } from './envoy-client.ts';
import type { WireRequest } from './kit.ts';
import type { Running } from './running.ts';

type Lines = WireRequest['headers'];

/** The question that a proxy with its sample configuration asks of this request, as its documentation says it. */
export function questionOf(proxy: ForwardAuthProxy, wire: WireRequest): WireRequest {
  const { method, scheme, path, headers } = wire;
  const proto = ['x-forwarded-proto', scheme] as const;
  // Of the client's connection, or of its body: never passed on as they are.
  const passed = without(headers, 'connection', 'content-length', 'transfer-encoding', 'expect');
  const asks = { ...wire, method: 'GET', path: `/forward-auth/${proxy}`, body: null };
  const body = bytesOf(wire);
  const length = ['content-length', String(body.length)] as const;
  switch (proxy) {
    case 'envoy': {
      const client = without(passed, 'x-envoy-auth-partial-body', 'upgrade');
      const mark = ['x-envoy-auth-partial-body', 'false'] as const;
      // No mark where no body comes, which a client may have said by its length.
      const framed = framingOf(wire).some(([, value]) => value !== '0') ? [mark, length] : [length];
      return { ...wire, path: `/forward-auth/envoy${path}`, headers: [proto, ...framed, ...client] };
    }
    case 'nginx': {
      const said = [
        ['x-original-method', method],
        ['x-original-uri', path],
        ...framingOf(wire).map(([name, value]) => [`x-original-${name.toLowerCase()}`, value] as const),
      ] as const;
      // `underscores_in_headers off`.
      const client = passed.filter(([name]) => !name.includes('_'));
      return { ...asks, headers: [proto, ...said, ...client] };
    }
    case 'traefik': {
      const framed = body.length === 0 ? [] : [length];
      const said = [proto, ...xForwarded(wire), ...framed, ...without(passed, 'upgrade')];
      return { ...asks, host: INTERNAL, headers: said, body: wire.body ?? null };
    }
    case 'caddy':
      return { ...asks, host: INTERNAL, headers: [proto, ...xForwarded(wire), ...passed] };
  }
}

const INTERNAL = 'lemma.internal:8181';

function xForwarded({ method, path, host }: WireRequest): Lines {
  return [
    ['x-forwarded-method', method],
    ['x-forwarded-uri', path],
    ['x-forwarded-host', host],
  ];
}

function without(headers: Lines, ...names: string[]): Lines {
  return headers.filter(([name]) => !names.includes(name.toLowerCase()));
}

function only(headers: Lines, name: string): string[] {
  return headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
}

function bytesOf({ body }: WireRequest): Buffer {
  return Buffer.from(body ?? '', 'base64url');
}

/** How the client frames its body: a body without a length gets one. */
function framingOf(wire: WireRequest): Lines {
  const said = wire.headers.filter(([name]) => /^(content-length|transfer-encoding)$/i.test(name));
  const { length } = bytesOf(wire);
  return said.length > 0 || length === 0 ? said : [['content-length', String(length)]];
}

const BODILESS = /^(GET|HEAD|OPTIONS|DELETE)$/;

/** Why no such proxy ever asks that; null where it does. */
export function unaskable(proxy: ForwardAuthProxy, wire: WireRequest): string | null {
  const { headers, host, path, method } = wire;
  const names = headers.map(([name]) => name.toLowerCase());
  if (names.some((name) => name.startsWith(':'))) return 'a pseudo-header';
  if (names.includes('host')) return 'a second reading of the host';
  if (!headers.every(([name, value]) => /^[\w-]+$/.test(name) && FIELD_VALUE.test(value)))
    return 'no header of HTTP';
  if (!/^[\x21-\x7e]+$/.test(host)) return 'no host of HTTP';
  const asIs = proxy === 'envoy';
  if (!(asIs ? /^[A-Z]+$/ : /^[\w-]+$/).test(method)) return 'no method of HTTP';
  if (asIs && method === 'CONNECT') return 'a tunnel that Envoy itself refuses';
  if (asIs && names.includes('upgrade')) return 'an upgrade that Envoy itself refuses';
  // In a header of the question a target is any value, were it no target of HTTP.
  if (!(asIs ? /^[\x21-\x7e]*$/.test(path) : path !== '' && path === path.trim() && FIELD_VALUE.test(path)))
    return 'no target of HTTP';
  const lengths = only(headers, 'content-length');
  if (lengths.length > 1 || lengths.some((length) => length !== String(bytesOf(wire).length)))
    return 'a body that never ends';
  const framed = framingOf(wire).some(([, value]) => value !== '0');
  if (proxy === 'caddy' && framed && BODILESS.test(method)) return 'a body that Caddy itself refuses';
  return null;
}

const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

export interface Untold {
  readonly what: string;
  /** The proxy itself sees to it, so that Lemma may allow what it would deny had it been told. */
  readonly seenTo: boolean;
}

/** What Lemma is not told of a request as the gRPC port is; null where nothing. */
export function untold(proxy: ForwardAuthProxy, wire: WireRequest): Untold | null {
  const { headers, method } = wire;
  const names = headers.map(([name]) => name.toLowerCase());
  const empty = bytesOf(wire).length === 0;
  const saysEmpty = empty && names.includes('content-length');
  switch (proxy) {
    case 'envoy':
    case 'traefik':
      if (proxy === 'traefik' && names.some(underscored)) return NAME;
      if (names.includes('upgrade')) return { what: 'an upgrade, which the proxy takes off', seenTo: true };
      if (names.includes('x-envoy-auth-partial-body') || names.includes('transfer-encoding'))
        return { what: 'what the client says of a body that the proxy has read', seenTo: true };
      return saysEmpty && !BODILESS.test(method) ? { what: 'that a body is empty', seenTo: false } : null;
    case 'nginx':
      return empty ? null : BODY;
    case 'caddy':
      if (names.some(underscored)) return NAME;
      return empty && !saysEmpty ? null : BODY;
  }
}

const BODY: Untold = { what: 'the body', seenTo: false };
const NAME: Untold = {
  what: 'a name that the proxy could not take off, for which it is denied',
  seenTo: false,
};
const underscored = (name: string) => /^x[-_]lemma[-_]/.test(name) && name.includes('_');

export function decisionPort({ app }: Running): number {
  return Number(app.addresses.decision.split(':').at(-1));
}

export interface Told {
  readonly status: number;
  /** `allow`, or the reason; null where nothing was decided. */
  readonly code: string | null;
  readonly decisionId: string;
  readonly headers: IncomingHttpHeaders;
}

/** Asks as the proxy asks, over a connection of its own, or of the agent's. */
export async function askForwardAuth(
  service: Running,
  proxy: ForwardAuthProxy,
  wire: WireRequest,
  agent?: Agent,
): Promise<Told> {
  const { status, headers } = await send(decisionPort(service), questionOf(proxy, wire), agent);
  const reason = headers['x-lemma-reason'];
  const code = status === 200 ? 'allow' : typeof reason === 'string' ? reason : null;
  return { status, code, decisionId: String(headers['x-lemma-decision-id'] ?? ''), headers };
}

/** What proxies are told of a reason's status: they know no denial but 401 and 403. */
export function proxiedStatus(http: number): number {
  return http === 200 || http === 401 ? http : 403;
}
