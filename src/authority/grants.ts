import { hint } from '../config/nearest.ts';
import { scopeCovers } from '../proof/scope.ts';
import type { Problem } from '../reason.ts';
import { isOrigin } from '../schema/origin.ts';
import type { Route } from '../schema/request.ts';
import type { Tenant } from '../store/model.ts';

/**
 * What the operator may grant: scopes and audiences that the running route map names for this org and env. A wildcard
 * must cover at least one of them, so that a slip of the pen does not become a grant of what comes later.
 */
export function grantProblems(
  asked: { readonly scope: readonly string[]; readonly audience: readonly string[] },
  routes: readonly Route[],
  { org, env }: Tenant,
): Problem[] {
  const own = routes.filter((route) => route.org === org && route.env === env);
  const scopes = [...new Set(own.flatMap((route) => route.scope))];
  const audiences = [...new Set(own.map((route) => route.audience))];
  return [
    ...asked.scope.flatMap((scope, i) =>
      scopes.some((known) => scopeCovers(scope, known))
        ? []
        : [{ field: `scope[${i}]`, message: `no route asks for ${scope}${hint(scope, scopes)}` }],
    ),
    ...asked.audience.flatMap((audience, i) => {
      if (audiences.includes(audience)) return [];
      const message = isOrigin(audience)
        ? `no route has the audience ${audience}${hint(audience, audiences)}`
        : `must be an origin in its normal form, such as https://api.example.com${hint(audience, audiences)}`;
      return [{ field: `audience[${i}]`, message }];
    }),
  ];
}
