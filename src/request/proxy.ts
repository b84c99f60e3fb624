import type { FirewallProxy } from '../schema/config.ts';
import { authorityOf, hostWithoutPort } from '../schema/origin.ts';
import { pathCovered } from '../schema/path.ts';
import { allows, type HostPort, parseAllowed, parseAuthority } from '../schema/proxy.ts';
import type { AuthzRequest, HeaderLine, Route } from '../schema/request.ts';
import type { Destination, Received } from './firewall.ts';
import { headersOf } from './received.ts';
import { splitTarget } from './target.ts';

/** What the forward proxy lets tunnels lead to, each with its route. */
export interface Allowed {
  readonly to: HostPort;
  readonly routeId: string;
}

/** The entries that were checked (`parseAllowed`); a colon is in no configured id. */
export function allowedOf(proxy: FirewallProxy): Allowed[] {
  return proxy.allow.map((text, i) => {
    const to = parseAllowed(text);
    if (typeof to === 'string') throw new RangeError(`unchecked entry ${text}: ${to}`);
    return { to, routeId: `firewall:connect:${i + 1}` };
  });
}

/** A route for each entry, which the firewall names, so that nothing else ever meets it. */
export function proxyRoutes(
  proxy: FirewallProxy,
  { org, env }: { readonly org: string; readonly env: string },
): Route[] {
  return allowedOf(proxy).map(({ to: { host, port }, routeId }) => ({
    id: routeId,
    org,
    env,
    host,
    path: '/**',
    methods: ['CONNECT'],
    api: 'proxy',
    action: proxy.action,
    scope: proxy.scope,
    audience: proxy.audience ?? originOf(host, port),
    risk: proxy.risk,
    body: 'none',
    taint_on_response: proxy.taint_on_response,
    forward_credential: false,
    mode: 'enforce',
    public: false,
    encoded_slash: 'deny',
    upgrade: 'allow',
  }));
}

/** What a proof is for whose bearer may reach a host by a tunnel; the pattern of many hosts has none. */
function originOf(host: string, port: number): string {
  const scheme = schemeOf(port);
  return `${scheme}://${authorityOf(scheme, `${host}:${port}`)}`;
}

function schemeOf(port: number): 'http' | 'https' {
  return port === 80 ? 'http' : 'https';
}

/**
 * What is decided about CONNECT: a request for `/` of that host and port, by the route of the first entry that covers
 * it. `to` is null where none does, and the request then is denied `route_unknown`.
 */
export function toConnect(
  received: Received,
  allowed: readonly Allowed[] | null,
  fallback: () => string | null,
): { request: AuthzRequest; to: HostPort | null } {
  const to = parseAuthority(received.target);
  const entry = to === null ? undefined : allowed?.find((one) => allows(one.to, to));
  const host = to === null ? received.target : `${to.host}:${to.port}`;
  const sent = { scheme: schemeOf(to?.port ?? 443), host, target: '/' };
  const request: AuthzRequest = {
    border: 'firewall',
    method: received.method,
    ...sent,
    ...headersOf(presented(received.headers, fallback)),
    body: received.body,
    protocol: received.protocol,
    source: { address: received.address, principal: '' },
    signed: sent,
    ...(entry === undefined ? { unrouted: unrouted(to, allowed) } : { routeId: entry.routeId }),
  };
  return { request, to: entry === undefined ? null : to };
}

function unrouted(to: HostPort | null, allowed: readonly Allowed[] | null): string {
  if (allowed === null) return 'firewall.proxy is not configured: there are no tunnels';
  return to === null
    ? 'the target of CONNECT must be host:port, the host in its one normal form'
    : `firewall.proxy.allow has no entry for ${to.host}:${to.port}`;
}

/** A target as clients of a proxy send it: with scheme and host. Null: in origin form. */
export function absoluteTarget(
  target: string,
): { readonly scheme: 'http' | 'https'; readonly authority: string; readonly rest: string } | null {
  const [, scheme, authority, rest] = /^(https?):\/\/([^/?#]*)(.*)$/is.exec(target) ?? [];
  if (scheme === undefined || authority === undefined || rest === undefined) return null;
  return { scheme: scheme.toLowerCase() === 'http' ? 'http' : 'https', authority, rest };
}

/** The api whose base_url covers a target, the longest path first, and what of the target is below that. */
export function apiOf(
  { scheme, authority, rest }: NonNullable<ReturnType<typeof absoluteTarget>>,
  destinations: ReadonlyMap<string, Destination>,
): { destination: Destination; rest: string } | null {
  const origin = `${scheme}://${authorityOf(scheme, authority)}`;
  const { path } = splitTarget(rest === '' ? '/' : rest);
  const covering = [...destinations.values()].filter(
    (one) => one.origin === origin && (one.basePath === '' || pathCovered(one.basePath, path)),
  );
  const [destination] = covering.toSorted((a, b) => b.basePath.length - a.basePath.length);
  return destination === undefined ? null : { destination, rest: rest.slice(destination.basePath.length) };
}

/** Whether a Host line says what the target says, as it must (RFC 9112, section 3.2.2). */
export function hostAgrees(target: string, host: string): boolean {
  const absolute = absoluteTarget(target);
  if (absolute === null) return hostWithoutPort(host) === hostWithoutPort(target);
  const { scheme, authority } = absolute;
  return authorityOf(scheme, host) === authorityOf(scheme, authority);
}

const PROXY_AUTHORIZATION = 'proxy-authorization';

/**
 * What a client shows to its proxy, as the headers that it would otherwise be in: `Proxy-Authorization: Basic` with the
 * credential or token as the password (`http://agent:<credential>@127.0.0.1:8787`), or `Bearer`. Where a client shows
 * nothing at all, `fallback` stands for it.
 */
export function presented(lines: readonly HeaderLine[], fallback: () => string | null): HeaderLine[] {
  const shows = lines.some(([name]) => SHOWN.test(name));
  if (!shows) {
    const credential = fallback();
    return credential === null ? [...lines] : [...lines, credentialLine(credential)];
  }
  return lines.flatMap(([name, value]) => {
    if (name.toLowerCase() !== PROXY_AUTHORIZATION) return [[name, value] as const];
    const credential = credentialIn(value);
    return credential === '' ? [] : [credentialLine(credential)];
  });
}

/** Whatever may be meant to say who the client is: then nobody else is put in its place. */
const SHOWN = /^(?:proxy-authorization|authorization|signature-input|x[-_]lemma[-_].*)$/i;

function credentialIn(value: string): string {
  const [, scheme = '', text = ''] = /^(basic|bearer)[ \t]+(\S+)$/i.exec(value.trim()) ?? [];
  if (scheme.toLowerCase() !== 'basic') return text;
  const [user = '', ...rest] = Buffer.from(text, 'base64').toString('latin1').split(':');
  const password = rest.join(':');
  return password === '' ? user : password;
}

function credentialLine(credential: string): HeaderLine {
  return credential.startsWith('lm_at_')
    ? ['authorization', `Bearer ${credential}`]
    : ['x-lemma-credential', credential];
}
