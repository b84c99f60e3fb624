import {
  addOperatorSchema,
  apiKeyParamsSchema,
  changeOperatorSchema,
  createApiKeySchema,
  operatorParamsSchema,
  pageQuerySchema,
} from '../schema/api-access.ts';
import * as answer from './access-answers.ts';
import type { Operation } from './operations.ts';

/** The operations about who may call the control plane: part of the table in operations.ts. */

const INPUT = ['invalid_request', 'payload_too_large', 'unsupported_media_type'] as const;
const OPERATORS = '/api/wallet/operators';
const API_KEYS = '/api/wallet/api-keys';

export const ACCESS_OPERATIONS = {
  listOperators: {
    method: 'GET',
    path: OPERATORS,
    on: ['control'],
    needs: 'operators.read',
    summary: 'Operators of the organisation, and what they may do',
    answer: answer.operators,
    errors: ['store_unavailable'],
  },
  addOperator: {
    method: 'POST',
    path: OPERATORS,
    on: ['control'],
    needs: 'operators.write',
    summary:
      'Makes somebody an operator: known by PPID and site keys, with a role that the caller has himself',
    body: addOperatorSchema,
    answer: answer.operator,
    errors: [...INPUT, 'conflict', 'store_unavailable'],
  },
  changeOperator: {
    method: 'POST',
    path: `${OPERATORS}/{id}`,
    on: ['control'],
    needs: 'operators.write',
    summary: "Changes an operator's role, name, keys or grants; what is not named stays",
    params: operatorParamsSchema,
    body: changeOperatorSchema,
    answer: answer.operator,
    errors: [...INPUT, 'not_found', 'conflict', 'store_unavailable'],
  },
  removeOperator: {
    method: 'POST',
    path: `${OPERATORS}/{id}/remove`,
    on: ['control'],
    needs: 'operators.write',
    summary: 'Removes an operator with all sessions and keys. The last owner cannot be removed',
    params: operatorParamsSchema,
    answer: answer.removed,
    errors: [...INPUT, 'not_found', 'conflict', 'store_unavailable'],
  },
  listApiKeys: {
    method: 'GET',
    path: API_KEYS,
    on: ['control'],
    needs: 'api_keys.read',
    summary: 'API keys and device tokens of the organisation, without their secrets',
    query: pageQuerySchema,
    answer: answer.apiKeys,
    errors: ['invalid_request', 'store_unavailable'],
  },
  createApiKey: {
    method: 'POST',
    path: API_KEYS,
    on: ['control'],
    needs: 'api_keys.write',
    summary: "Makes an API key with some of the caller's permissions. It is shown once",
    body: createApiKeySchema,
    answer: answer.newApiKey,
    errors: [...INPUT, 'store_unavailable'],
  },
  revokeApiKey: {
    method: 'POST',
    path: `${API_KEYS}/{id}/revoke`,
    on: ['control'],
    needs: 'api_keys.write',
    summary: 'Ends an API key or a device token',
    params: apiKeyParamsSchema,
    answer: answer.revoked,
    errors: [...INPUT, 'not_found', 'conflict', 'store_unavailable'],
  },
} as const satisfies Record<string, Operation>;
