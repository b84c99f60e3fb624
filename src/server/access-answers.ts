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
export const operators = answerOf({ operators: { type: 'array', items: operatorItem } });
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

export const newApiKey = answerOf({
  token: { ...text, description: 'lm_ak_…: shown now, and never again' },
  api_key: apiKeyItem,
});
export const apiKeys = answerOf({ api_keys: { type: 'array', items: apiKeyItem }, next_cursor: cursor });
