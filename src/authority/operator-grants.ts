import { beyondGrants, type Grants as ProofGrants } from './grants.ts';
import type { Operator } from './operators.ts';

/** The most that proofs of an operator may hold. `longest_life_s` in seconds. */
export interface Grants {
  readonly scopes: readonly string[];
  readonly audiences: readonly string[];
  readonly longest_life_s: number;
}

/** Null: whatever the running routes name for his org and env (src/authority/grants.ts), for as long as a proof may live. */
export function grantsOf({ grants }: Pick<Operator, 'grants'>): ProofGrants | null {
  return grants === null ? null : proofGrants(grants);
}

/** Whether somebody with `outer` may hand on `inner`. */
export function grantsWithin(inner: Grants | null, outer: Grants | null): boolean {
  if (outer === null) return true;
  if (inner === null) return false;
  const { max_ttl_s: ttl_s, ...asked } = proofGrants(inner);
  return beyondGrants({ ...asked, ttl_s }, proofGrants(outer)) === null;
}

function proofGrants({ scopes, audiences, longest_life_s }: Grants): ProofGrants {
  return { scope: scopes, audience: audiences, max_ttl_s: longest_life_s };
}
