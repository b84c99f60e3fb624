import type { LiveRuntime } from '../gate/runtimes.ts';
import type { Registration, Tenant } from '../store/model.ts';

/** Who a runtime is, apart from its state. */
export interface Registered extends Registration, Tenant {}

const MEMBERS = ['org', 'env', 'runtime_id', 'agent_id', 'workspace_id', 'profile', 'subject'] as const;

/** The first member in which two registrations of one id differ, or null. `keys` are a set. */
export function registrationDifference(a: Registered, b: Registered): string | null {
  const keys = (of: Registered) => (of.keys === null ? 'any' : [...new Set(of.keys)].sort().join(' '));
  return MEMBERS.find((member) => a[member] !== b[member]) ?? (keys(a) === keys(b) ? null : 'keys');
}

/** One text for each runtime: ids hold no space. */
export function placeOf({ org, env }: Tenant, runtimeId: string): string {
  return `${org} ${env} ${runtimeId}`;
}

export function registrationOf(runtime: LiveRuntime): Registration {
  const { runtime_id, agent_id, workspace_id, profile, subject, keys } = runtime;
  return { runtime_id, agent_id, workspace_id, profile, subject, keys };
}
