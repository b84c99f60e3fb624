import { createTrust, type TrustEntry } from '../proof/trust.ts';
import { buildRouteMap } from '../request/route-map.ts';
import type { Config } from '../schema/config.ts';
import type { Route } from '../schema/request.ts';
import type { Settings } from './decide.ts';

/**
 * What a configuration means to decisions. `own` are the embedded authority's keys, trusted for the deployment's own org
 * and env; `named` are routes that only a gateway of ours can name (the firewall's).
 * Throws InputError (`trust[i]…`, `routes[i]…`) for what only the whole shows.
 */
export function settingsOf(
  config: Config,
  configRevision: string,
  own: TrustEntry['keys'],
  named: readonly Route[],
): Settings {
  const { org, env } = config;
  return {
    org,
    env,
    trust: createTrust([...config.trust, { org, env, keys: own }]),
    routes: buildRouteMap(config.routes, config.permit_method_override, named),
    configRevision,
  };
}
