/**
 * An audience entry (proofs.md): http or https://host[:port], lower case, A-label, IPv4 or [RFC 5952 IPv6], no trailing
 * dot, no default port, no path. The WHATWG parser normalises; only a text that is already normal passes.
 */
export function isOrigin(text: string): boolean {
  if (text.length > 512 || !/^https?:\/\/[a-z0-9.:[\]-]+$/.test(text)) return false;
  const url = URL.parse(text);
  if (url === null || url.origin !== text) return false;
  return url.hostname.startsWith('[') || isHostName(url.hostname);
}

/** Lower-case LDH labels of 1 to 63 characters, 253 in all, no trailing dot (RFC 1123, RFC 5890 A-labels). */
export function isHostName(host: string): boolean {
  return host.length <= 253 && host.split('.').every((l) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(l));
}

/** Host without port, lower case; brackets of an IPv6 literal stay. */
export function hostWithoutPort(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, '');
}

/** Host without the scheme's default port, lower case (RFC 9421 section 2.2.3 `@authority`). */
export function authorityOf(scheme: string, host: string): string {
  const lower = host.toLowerCase();
  const suffix = scheme === 'http' ? ':80' : ':443';
  return lower.endsWith(suffix) ? lower.slice(0, -suffix.length) : lower;
}
