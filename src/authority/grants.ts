import { hint } from '../config/nearest.ts';
import { scopeCovers, uncoveredScope } from '../proof/scope.ts';
import type { Problem } from '../reason.ts';
import { isOrigin } from '../schema/origin.ts';
import type { Route } from '../schema/request.ts';
import type { Tenant } from '../store/model.ts';
import { Refusal } from './refusal.ts';

/** The most that an operator may put into a proof. `longest_life_s` in seconds. */
export interface Grants {
  /** Scopes, or wildcards over them. */
  readonly scopes: readonly string[];
  /** Origins, exactly. */
  readonly audiences: readonly string[];
  readonly longest_life_s: number;
}

/** What a proof is asked to hold. */
export interface Asked {
  readonly scope: readonly string[];
  readonly audience: readonly string[];
  readonly ttl_s: number;
}

/** Refusal `forbidden` names the first member that goes beyond the grants; null bounds nothing. */
export function checkGrants(asked: Asked, grants: Grants | null): void {
  const problem = grants === null ? null : beyondGrants(asked, grants);
  if (problem !== null) throw new Refusal('forbidden', `${problem.field}: ${problem.message}`);
}

/** The first member that goes beyond the grants, or null. */
function beyondGrants({ scope, audience, ttl_s }: Asked, grants: Grants): Problem | null {
  const wide = uncoveredScope(grants.scopes, scope);
  if (wide !== null)
    return { field: `scope[${scope.indexOf(wide)}]`, message: `you may grant ${list(grants.scopes)}` };
  const far = audience.findIndex((origin) => !grants.audiences.includes(origin));
  if (far >= 0) return { field: `audience[${far}]`, message: `you may grant ${list(grants.audiences)}` };
  if (ttl_s <= grants.longest_life_s) return null;
  return { field: 'ttl_s', message: `you may grant ${grants.longest_life_s} at most` };
}

/** Whether somebody with `outer` may hand on `inner`. */
export function grantsWithin(inner: Grants | null, outer: Grants | null): boolean {
  if (outer === null) return true;
  if (inner === null) return false;
  const { scopes: scope, audiences: audience, longest_life_s: ttl_s } = inner;
  return beyondGrants({ scope, audience, ttl_s }, outer) === null;
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}

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
