import http from 'node:http';
import { isLocal, parseAddress } from '../../config/address.ts';
import type { Environment } from '../../config/environment.ts';
import { DEFAULT_FIREWALL } from '../../schema/config.ts';
import type { Call } from '../command.ts';
import { given, homeFolder } from './folder.ts';
import { readFirewallState } from './state.ts';

const LOOPBACK = 'localhost,127.0.0.1,[::1]';

/** Whether Node leads this process's requests by HTTP_PROXY and HTTPS_PROXY. */
export function proxied({ NODE_USE_ENV_PROXY, NODE_OPTIONS = '' }: Environment): boolean {
  return NODE_USE_ENV_PROXY === '1' || NODE_OPTIONS.includes('--use-env-proxy');
}

/**
 * What an operator calls must not go through the firewall, where it would be denied as an agent's request: in a shell that
 * leads agents there, this program's own requests go past it. Another proxy stays, for all but this machine itself. Node before
 * 24.14 has no way to say so.
 */
export function passOwnFirewall(call: Pick<Call, 'env' | 'folder'>): void {
  const { env } = call;
  if (!proxied(env) || typeof http.setGlobalProxyFromEnv !== 'function') return;
  const firewalls = [DEFAULT_FIREWALL, runningAt(call)];
  const named = ['HTTP_PROXY', 'HTTPS_PROXY'].flatMap((name) => {
    const value = env[name.toLowerCase()] ?? env[name];
    return given(value) ? [[name, value] as const] : [];
  });
  if (named.length === 0) return;
  const own = named.some(([, value]) =>
    firewalls.some((listen) => listen !== null && leadsTo(value, listen)),
  );
  const except = env.no_proxy ?? env.NO_PROXY;
  // Without any proxy Node would keep those that it has.
  const NO_PROXY = own ? '*' : given(except) ? `${except},${LOOPBACK}` : LOOPBACK;
  http.setGlobalProxyFromEnv({ ...Object.fromEntries(named), NO_PROXY });
}

function runningAt(call: Pick<Call, 'env' | 'folder'>): string | null {
  try {
    return readFirewallState(homeFolder(call))?.listen ?? null;
  } catch {
    // Whoever needs that file says what is wrong with it.
    return null;
  }
}

/** Whether the address of a proxy is the firewall's. */
export function leadsTo(value: string, listen: string): boolean {
  const url = URL.parse(value.includes('://') ? value : `http://${value}`);
  const address = parseAddress(`${url?.hostname}:${url?.port === '' ? 80 : url?.port}`);
  const own = parseAddress(listen);
  return address?.kind === 'tcp' && own?.kind === 'tcp' && isLocal(address) && address.port === own.port;
}
