/** What an operator, or an API key, may do in its org and env; `platform.*` concern the whole deployment. A closed set. */
export const PERMISSIONS = [
  'runtimes.read',
  'runtimes.write',
  'runtimes.stop',
  'runtimes.approve',
  'decisions.read',
  'decisions.export',
  'policies.read',
  'policies.impact',
  'platform.policies',
  'platform.keys',
  'platform.backup',
  'platform.read',
  'platform.operators',
  'operators.read',
  'operators.write',
  'api_keys.read',
  'api_keys.write',
  'settings.read',
  'settings.write',
  'audit.read',
  'monitor.read',
  'tokens.introspect',
  'tokens.revoke',
  'subjects.assert',
  'nodes.connect',
  'nodes.read',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** What an operator is in an org and env; the deployment's `platform` role comes beside it. */
export const ROLES = ['owner', 'operator', 'policy_author', 'auditor'] as const;
export type Role = (typeof ROLES)[number];
