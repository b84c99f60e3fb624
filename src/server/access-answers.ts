import { PERMISSIONS, ROLES } from '../schema/access.ts';
import { grantsSchema } from '../schema/api-access.ts';
import { BYTES32_PATTERN, SUBJECT_PATTERN } from '../schema/common.ts';
import { answerOf } from './answers.ts';

/** Schemas of what the operations of access-operations.ts answer. */

const time = { type: 'string', format: 'date-time' } as const;
const timeOrNull = { type: ['string', 'null'], format: 'date-time' } as const;
const text = { type: 'string' } as const;
const cursor = { type: ['string', 'null'], description: 'null: there are no more' } as const;
const permissions = { type: 'array', items: { enum: PERMISSIONS } } as const;
const bytes32 = { type: 'string', pattern: BYTES32_PATTERN } as const;

function item<const P extends Record<string, object>>(properties: P) {
  return { type: 'object', required: Object.keys(properties), properties };
}

const operatorItem = item({
  id: text,
  name: text,
  subject: { type: 'string', pattern: SUBJECT_PATTERN },
  keys: { type: 'array', items: bytes32 },
  role: { enum: ROLES },
  platform: { type: 'boolean' },
  permissions,
  grants: grantsSchema,
  added_at: time,
  added_by: text,
});

export const operator = answerOf({ operator: operatorItem });
export const operators = answerOf({ operators: { type: 'array', items: operatorItem }, next_cursor: cursor });
export const removed = answerOf({ removed: text });
export const revoked = answerOf({ revoked: text });

const apiKeyItem = item({
  id: bytes32,
  kind: { enum: ['api_key', 'device'] },
  name: text,
  prefix: { ...text, description: 'How the key begins' },
  operator_id: text,
  permissions,
  created_at: time,
  last_used_at: { ...timeOrNull, description: 'To some minutes' },
  expires_at: time,
});

const sessionItem = item({
  id: text,
  operator_id: text,
  client: item({ address: text, agent: text }),
  created_at: time,
  seen_at: { ...time, description: 'To a minute' },
  expires_at: time,
});

export const challenge = answerOf({
  challenge: text,
  expires_at: { type: 'integer', description: 'Seconds since 1970, as it is signed' },
  origin: text,
  org: text,
  env: text,
});
export const signedIn = answerOf({
  operator: item({ id: text, org: text, env: text, permissions, grants: grantsSchema }),
  session: { ...sessionItem, type: ['object', 'null'] },
  csrf_token: {
    type: ['string', 'null'],
    description: 'For X-CSRF-Token of requests that change something; null: they need none, it was a key',
  },
});
export const siteKeys = answerOf({
  subject: { type: 'string', pattern: SUBJECT_PATTERN },
  keys: { type: 'array', items: bytes32 },
});
export const sessions = answerOf({ sessions: { type: 'array', items: sessionItem }, next_cursor: cursor });

export const deviceCodes = answerOf({
  device_code: text,
  user_code: text,
  verification_uri: text,
  verification_uri_complete: text,
  expires_in: { type: 'integer' },
  interval: { type: 'integer' },
});
export const deviceToken = answerOf({
  access_token: { ...text, description: 'lm_cs_…' },
  token_type: { const: 'Bearer' },
  expires_in: { type: 'integer' },
  scope: text,
});
export const device = answerOf({
  client: item({ name: text, address: text }),
  asked: permissions,
  lacking: { ...permissions, description: 'Those of them that you have not, and cannot give' },
  hours: item({ most: { type: 'integer' }, usual: { type: 'integer' } }),
  expires_at: time,
});
export const deviceApproved = answerOf({ org: text, env: text, permissions, hours: { type: 'integer' } });
export const deviceDenied = answerOf({ denied: { const: true } });

export const auditEntries = answerOf({
  entries: {
    type: 'array',
    items: item({
      id: text,
      who: item({ operator_id: text, by: item({ kind: text, id: { type: ['string', 'null'] } }) }),
      what: { ...text, description: 'The operationId' },
      target: { type: ['string', 'null'] },
      time,
      request_id: text,
      outcome: { ...text, description: '`done`, or the code of the refusal' },
    }),
  },
  next_cursor: cursor,
});

export const newApiKey = answerOf({
  token: { ...text, description: 'lm_ak_…: shown now, and never again' },
  api_key: apiKeyItem,
});
export const apiKeys = answerOf({ api_keys: { type: 'array', items: apiKeyItem }, next_cursor: cursor });
