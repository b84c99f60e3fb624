import { timingSafeEqual } from 'node:crypto';
import { sha256 } from '#runtime';
import { PERMISSIONS, type Permission } from '../schema/access.ts';
import type { Tenant } from '../store/model.ts';
import type { Grants } from './grants.ts';

/** Who asks a verb of the control plane, and whose things they may see. */
export interface Operator extends Tenant {
  readonly id: string;
  readonly may: ReadonlySet<Permission>;
  /** The most that proofs by this operator may hold; null, or absent: whatever the route map names. */
  readonly grants?: Grants | null;
}

export interface Operators {
  /** The operator whose key this is, or null. Digests are compared in constant time. */
  authenticate(key: string): Operator | null;
}

/** The embedded deployment has one operator, its owner. */
export function createOperators(owner: Tenant & { readonly key: string }): Operators {
  const expected = digest(owner.key);
  const operator: Operator = { id: 'owner', org: owner.org, env: owner.env, may: new Set(PERMISSIONS) };
  return { authenticate: (key) => (timingSafeEqual(digest(key), expected) ? operator : null) };
}

function digest(text: string): Uint8Array {
  return sha256(new TextEncoder().encode(text));
}
