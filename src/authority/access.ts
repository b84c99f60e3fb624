import { type ApiKeys, type ApiKeysOptions, createApiKeys } from './api-keys.ts';
import { createRoster, type Roster, type RosterOptions } from './roster.ts';

export interface AccessOptions extends RosterOptions {
  readonly store: ApiKeysOptions['store'];
  readonly onError: (error: unknown, doing: string) => void;
}

/** Who may call the control plane, beside the owner by his key. */
export interface Access {
  readonly roster: Roster;
  readonly apiKeys: ApiKeys;
}

export function createAccess(options: AccessOptions): Access {
  const roster = createRoster(options);
  return { roster, apiKeys: createApiKeys({ ...options, roster }) };
}
