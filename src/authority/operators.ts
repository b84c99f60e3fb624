import { timingSafeEqual } from 'node:crypto';
import { sha256 } from '#runtime';
import { PERMISSIONS, type Permission } from '../schema/access.ts';
import type { Tenant } from '../store/model.ts';
import type { Grants } from './grants.ts';

/** How an operator showed who he is. `id`: which of his credentials of that kind; null for the owner's key. */
export interface ShownBy {
  readonly kind: 'owner_key' | 'api_key' | 'device' | 'session';
  readonly id: string | null;
}

/** Who asks a verb of the control plane, and whose things they may see. */
export interface Operator extends Tenant {
  readonly id: string;
  readonly may: ReadonlySet<Permission>;
  /** What proofs that he issues may hold at most; null: whatever routes name. */
  readonly grants: Grants | null;
  readonly by: ShownBy;
}

export interface Operators {
  /** The operator whose key this is, or null. Digests are compared in constant time. */
  authenticate(key: string): Operator | null;
}

/** The id of the embedded deployment's owner, who is always there. */
export const OWNER_ID = 'owner';

/** The embedded deployment has one operator by itself, its owner. Others are in the roster. */
export function createOperators(owner: Tenant & { readonly key: string }): Operators {
  const expected = digest(owner.key);
  const operator: Operator = {
    id: OWNER_ID,
    org: owner.org,
    env: owner.env,
    may: new Set(PERMISSIONS),
    grants: null,
    by: { kind: 'owner_key', id: null },
  };
  return { authenticate: (key) => (timingSafeEqual(digest(key), expected) ? operator : null) };
}

export function tenantOf({ org, env }: Tenant): Tenant {
  return { org, env };
}

/** An operator among those of all tenants, as one text. */
export function nameOf({ org, env, id }: Pick<Operator, 'org' | 'env' | 'id'>): string {
  return `${org}/${env}/${id}`;
}

function digest(text: string): Uint8Array {
  return sha256(new TextEncoder().encode(text));
}
