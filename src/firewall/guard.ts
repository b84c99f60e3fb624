import { isLocal, parseAddress } from '../config/address.ts';
import { absoluteTarget, hostAgrees } from '../request/proxy.ts';
import type { HeaderLine } from '../schema/request.ts';

const SAME_SITE = new Set(['none', 'same-origin']);

/**
 * Why a request is not even decided on, or null: what a web page could make a browser send (a name that was rebound to
 * this machine, a foreign origin), and framing that would not mean the same to the upstream. `port` is the listener's.
 * No page can make a browser ask a proxy that it does not have: there, Host need only be the target's.
 */
export function refusalOf(
  headers: readonly HeaderLine[],
  { method = '', url = '' }: { readonly method?: string | undefined; readonly url?: string | undefined },
  port: number,
): string | null {
  const lines = (name: string) =>
    headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  const hosts = lines('host');
  if (lines('transfer-encoding').some((coding) => coding.toLowerCase() !== 'chunked')) {
    return 'Transfer-Encoding may only be chunked';
  }
  if (method === 'CONNECT' || absoluteTarget(url) !== null) {
    if (hosts.length <= 1 && hosts.every((host) => hostAgrees(url, host))) return null;
    return 'Host must be that of the target';
  }
  if (hosts.length !== 1 || !isOurs(hosts[0] ?? '', port)) {
    return `Host must be this machine's loopback name with the firewall's port, such as 127.0.0.1:${port}`;
  }
  const foreign = lines('origin').some((origin) => !isOurs(origin.replace(/^http:\/\//, ''), port));
  if (foreign || lines('sec-fetch-site').some((site) => !SAME_SITE.has(site))) {
    return 'requests of web pages from elsewhere are not served: Origin must be absent, or the firewall itself';
  }
  return null;
}

function isOurs(authority: string, port: number): boolean {
  const address = parseAddress(/:\d+$/.test(authority) ? authority : `${authority}:80`);
  return address?.kind === 'tcp' && isLocal(address) && address.port === port;
}
