import { hostPatternProblem } from './route.ts';

/** Where a tunnel may lead: an exact host, or all below a suffix (`*.example.com`), and one port. */
export interface HostPort {
  /** Lower case; IPv6 in brackets. */
  readonly host: string;
  readonly port: number;
}

/** `api.example.com:443`, `*.example.com:443`, `10.0.0.5:8443`, `[::1]:443`; a text says what is wrong. */
export function parseAllowed(text: string): HostPort | string {
  const parts = splitHostPort(text);
  if (parts === null) return 'must be host:port, such as api.example.com:443 or *.example.com:443';
  const { host, port } = parts;
  if (host === '*') return 'must name its hosts: * alone would be every address there is';
  const problem = hostPatternProblem(host);
  if (problem !== null) return problem;
  if (!host.startsWith('*.') && !isNormal(host))
    return `must have its host in its normal form: ${URL.parse(`http://${host}`)?.hostname ?? 'a name'}`;
  return port >= 1 && port <= 65_535 ? parts : 'must have a port of 1 to 65535';
}

/**
 * The target of CONNECT (RFC 9110, section 9.3.6); null for what is no host and port, or would be an address in other
 * clothes (`2130706433`, `0x7f.1`).
 */
export function parseAuthority(text: string): HostPort | null {
  const parts = splitHostPort(text.toLowerCase());
  if (parts === null || parts.port < 1 || parts.port > 65_535) return null;
  return !parts.host.includes('*') && hostPatternProblem(parts.host) === null && isNormal(parts.host)
    ? parts
    : null;
}

/** Whether a pattern of `parseAllowed` covers it: a suffix covers names below it, never itself, never an address. */
export function allows(pattern: HostPort, { host, port }: HostPort): boolean {
  if (pattern.port !== port) return false;
  return pattern.host.startsWith('*.') ? host.endsWith(pattern.host.slice(1)) : pattern.host === host;
}

function splitHostPort(text: string): HostPort | null {
  const [, host, port] = /^(\[[^[\]]*\]|[^:[\]]+):(\d{1,5})$/.exec(text) ?? [];
  return host === undefined ? null : { host, port: Number(port) };
}

/** The WHATWG parser makes of each form of an address the one. */
function isNormal(host: string): boolean {
  return URL.parse(`http://${host}`)?.hostname === host;
}
