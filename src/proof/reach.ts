import { Denial } from '../reason.ts';
import { pathCovered } from '../schema/path.ts';
import type { Route } from '../schema/request.ts';
import { boundsOf } from './bounds.ts';
import type { VerifiedChain } from './chain.ts';
import { uncoveredScope } from './scope.ts';

/** Step 12: whether a verified chain reaches this route, method and path. Throws audience_mismatch, scope_denied, bounds_exceeded. */
export function checkReach(chain: VerifiedChain, route: Route, method: string, path: string): void {
  const { org, env } = chain.root.claims;
  if (!chain.leaf.audience.includes(route.audience) || org !== route.org || env !== route.env) {
    throw new Denial(
      'audience_mismatch',
      `the proof is not for ${route.audience} of ${route.org}/${route.env}`,
      {
        wanted: route.audience,
        audience: chain.leaf.audience,
        realm: `${org}/${env}`,
      },
    );
  }
  const scope = uncoveredScope(chain.leaf.scope, route.scope);
  if (scope !== null) {
    throw new Denial('scope_denied', `${scope} is not granted`, {
      wanted: route.scope,
      scope: chain.leaf.scope,
    });
  }
  for (const [link, lemma] of chain.links.entries()) {
    const bounds = boundsOf(lemma);
    if (bounds?.methods !== undefined && !bounds.methods.includes(method)) {
      throw new Denial('bounds_exceeded', `${method} is out of bounds`, { link, methods: bounds.methods });
    }
    if (bounds?.path_prefixes !== undefined && !bounds.path_prefixes.some((p) => pathCovered(p, path))) {
      throw new Denial('bounds_exceeded', `${path} is out of bounds`, {
        link,
        path_prefixes: bounds.path_prefixes,
      });
    }
  }
}
