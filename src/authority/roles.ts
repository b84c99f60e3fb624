import { PERMISSIONS, type Permission, type Role } from '../schema/access.ts';

/** A role of an org and env, or the deployment's own: policies, keys and nodes are everybody's (contracts.md). */
type Holder = Role | 'platform';

/** Who may do what. A permission that nobody was given does not compile. */
const HOLDERS = {
  'runtimes.read': ['owner', 'operator', 'policy_author', 'auditor'],
  'runtimes.write': ['owner', 'operator'],
  'runtimes.stop': ['owner', 'operator'],
  'decisions.read': ['owner', 'operator', 'policy_author', 'auditor'],
  'decisions.export': ['owner', 'operator', 'auditor'],
  'policies.read': ['owner', 'operator', 'policy_author', 'auditor', 'platform'],
  'policies.impact': ['owner', 'policy_author'],
  'platform.policies': ['platform'],
  'platform.keys': ['platform'],
  'platform.backup': ['platform'],
  'platform.read': ['platform'],
  'platform.operators': ['platform'],
  'operators.read': ['owner', 'auditor'],
  'operators.write': ['owner'],
  'api_keys.read': ['owner', 'operator', 'auditor'],
  'api_keys.write': ['owner', 'operator'],
  'settings.write': ['owner'],
  'audit.read': ['owner', 'auditor'],
  'monitor.read': ['owner', 'operator', 'auditor'],
  'tokens.introspect': ['owner', 'operator'],
  'tokens.revoke': ['owner', 'operator'],
  'nodes.connect': ['platform'],
  'nodes.read': ['platform'],
  'runtimes.approve': ['owner', 'operator'],
  'settings.read': ['owner', 'operator', 'policy_author', 'auditor'],
  'subjects.assert': ['owner'],
} as const satisfies Record<Permission, readonly [Holder, ...Holder[]]>;

/** What makes more credentials or operators: never in the hands of a program that a stolen key could act for. */
export const NEVER_OF_API_KEYS: ReadonlySet<Permission> = new Set<Permission>([
  'operators.write',
  'api_keys.write',
  'platform.operators',
]);

export function permissionsOf({
  role,
  platform,
}: {
  readonly role: Role;
  readonly platform: boolean;
}): ReadonlySet<Permission> {
  return new Set(
    PERMISSIONS.filter((permission) => {
      const holders: readonly Holder[] = HOLDERS[permission];
      return holders.includes(role) || (platform && holders.includes('platform'));
    }),
  );
}

/** Those of `asked` that `may` lacks. */
export function lacking(asked: Iterable<Permission>, may: ReadonlySet<Permission>): Permission[] {
  return [...asked].filter((permission) => !may.has(permission));
}
