import { scopeCovers } from '../proof/scope.ts';
import type { Problem } from '../reason.ts';
import type { Grants as ProofGrants } from './grants.ts';
import type { Operator } from './operators.ts';

/** The most that proofs of an operator may hold. `longest_life_s` in seconds. */
export interface Grants {
  readonly scopes: readonly string[];
  readonly audiences: readonly string[];
  readonly longest_life_s: number;
}

/** Null: whatever the running routes name for his org and env (src/authority/grants.ts), for as long as a proof may live. */
export function grantsOf({ grants }: Pick<Operator, 'grants'>): ProofGrants | null {
  if (grants === null) return null;
  return { scope: grants.scopes, audience: grants.audiences, max_ttl_s: grants.longest_life_s };
}

/** What is asked for beyond the grants, under the names of issue-proof's members. */
export function beyondGrants(
  asked: { readonly scope: readonly string[]; readonly audience: readonly string[]; readonly ttl_s: number },
  grants: Grants | null,
): Problem[] {
  if (grants === null) return [];
  return [
    ...asked.scope.flatMap((scope, i) =>
      grants.scopes.some((granted) => scopeCovers(granted, scope))
        ? []
        : [{ field: `scope[${i}]`, message: `${scope} is beyond what you may grant` }],
    ),
    ...asked.audience.flatMap((audience, i) =>
      grants.audiences.includes(audience)
        ? []
        : [{ field: `audience[${i}]`, message: `${audience} is beyond what you may grant` }],
    ),
    ...(asked.ttl_s <= grants.longest_life_s
      ? []
      : [{ field: 'ttl_s', message: `proofs of yours live ${grants.longest_life_s} s at most` }]),
  ];
}

/** Whether somebody with `outer` may hand on `inner`. */
export function grantsWithin(inner: Grants | null, outer: Grants | null): boolean {
  if (outer === null) return true;
  if (inner === null) return false;
  const { scopes: scope, audiences: audience, longest_life_s: ttl_s } = inner;
  return beyondGrants({ scope, audience, ttl_s }, outer).length === 0;
}
