import type { Tenant } from './model.ts';

export function sameTenant(one: Tenant, other: Tenant): boolean {
  return one.org === other.org && one.env === other.env;
}
