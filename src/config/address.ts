import { isIPv4, isIPv6 } from 'node:net';
import { isHostName } from '../schema/origin.ts';

/** Where to listen. `host` has no brackets; port 0 takes a free one. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** sun_path holds 104 bytes on macOS, 108 on Linux, with a closing zero. */
const LONGEST_SOCKET_PATH = 103;
const NOT_ABSOLUTE = 'must be unix:///absolute/path/of/the.sock';

/** `host:port`, `[::1]:port` or `unix:///path`; null for anything else. */
export function parseAddress(text: string): Address | null {
  return addressProblem(text) === null ? split(text) : null;
}

/** What is wrong with an address to listen on, or null. */
export function addressProblem(text: string): string | null {
  const address = split(text);
  if (address === null) return 'must be host:port, [IPv6]:port or unix:///path';
  if (address.kind === 'unix')
    return text.startsWith('unix:///') ? socketProblem(address.path) : NOT_ABSOLUTE;
  if (address.host === '')
    return `must name its host: 127.0.0.1:${address.port}, or 0.0.0.0:${address.port} for all`;
  if (address.port > 65_535) return 'must have a port of 0 to 65535';
  const bracketed = text.startsWith('[');
  if (bracketed ? isIPv6(address.host) : isIPv4(address.host) || isName(address.host)) return null;
  return bracketed
    ? 'must have an IPv6 address in its brackets'
    : 'must have a host name, IPv4 or [IPv6] as its host';
}

/** True when nothing beyond this machine can reach the address. A name other than `localhost` may be anything. */
export function isLocal(address: Address): boolean {
  if (address.kind === 'unix') return true;
  if (isIPv4(address.host)) return address.host.startsWith('127.');
  if (isIPv6(address.host)) return URL.parse(`http://[${address.host}]`)?.hostname === '[::1]';
  return address.host.toLowerCase() === 'localhost';
}

function split(text: string): Address | null {
  if (text.startsWith('unix:')) return { kind: 'unix', path: text.replace(/^unix:(?:\/\/)?/, '') };
  const parts = /^(?:\[([^[\]]*)\]|([^:[\]/]*)):(\d{1,5})$/.exec(text);
  if (parts === null) return null;
  return { kind: 'tcp', host: parts[1] ?? parts[2] ?? '', port: Number(parts[3]) };
}

function socketProblem(path: string): string | null {
  if (path.endsWith('/') || path.includes('\0')) return NOT_ABSOLUTE;
  return Buffer.byteLength(path) > LONGEST_SOCKET_PATH
    ? `has too long a path for a socket: at most ${LONGEST_SOCKET_PATH} bytes`
    : null;
}

/** A name whose last label is a number is a mistyped IPv4 address (WHATWG URL, "ends in a number"). */
function isName(host: string): boolean {
  return isHostName(host.toLowerCase()) && !/(?:^|\.)\d+$/.test(host);
}
