import { type ApiKeys, type ApiKeysOptions, createApiKeys } from './api-keys.ts';
import { type Audit, type AuditOptions, createAudit } from './audit.ts';
import { type Challenges, createChallenges } from './challenge.ts';
import { type Cursors, createCursors } from './cursor.ts';
import { createDevices, type Devices } from './device.ts';
import { createSiteKeys, type SiteKeys } from './key-change.ts';
import { createRoster, type Roster, type RosterOptions } from './roster.ts';
import { createSessions, type Sessions } from './session.ts';
import { createTokens, type Tokens } from './token.ts';

export interface AccessOptions extends RosterOptions, Pick<AuditOptions, 'keepMs'> {
  readonly store: ApiKeysOptions['store'];
  /** `accessSecret`: tokens, challenges, cursors, CSRF tokens and user codes are told by it. */
  readonly secret: Uint8Array;
  readonly validFrom: ApiKeysOptions['validFrom'];
  readonly onError: (error: unknown, doing: string) => void;
}

/** Who may call the control plane, beside the owner by his key, and what they did. */
export interface Access {
  readonly roster: Roster;
  readonly apiKeys: ApiKeys;
  readonly challenges: Challenges;
  readonly sessions: Sessions;
  readonly siteKeys: SiteKeys;
  readonly devices: Devices;
  readonly audit: Audit;
  readonly tokens: Tokens;
  readonly cursors: Cursors;
}

export function createAccess(options: AccessOptions): Access {
  const roster = createRoster(options);
  const tokens = createTokens(options.secret);
  const apiKeys = createApiKeys({ ...options, roster, tokens });
  const challenges = createChallenges(options);
  return {
    roster,
    apiKeys,
    challenges,
    sessions: createSessions({ ...options, roster, challenges, tokens }),
    siteKeys: createSiteKeys({ roster, challenges }),
    devices: createDevices({ ...options, roster, apiKeys, tokens }),
    audit: createAudit(options),
    tokens,
    cursors: createCursors(options.secret),
  };
}
