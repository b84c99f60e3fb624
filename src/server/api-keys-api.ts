import type { ApiKey, ApiKeys } from '../authority/api-keys.ts';
import { tenantOf } from '../authority/operators.ts';
import { PAGE_LIMIT } from '../schema/api.ts';
import {
  type ApiKeyParams,
  apiKeyParamsSchema,
  type CreateApiKeyBody,
  createApiKeySchema,
  type PageQuery,
  pageQuerySchema,
} from '../schema/api-access.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { timeOrNull, timeText } from './time.ts';

const readCreate = reader<CreateApiKeyBody>(createApiKeySchema);
const readParams = reader<ApiKeyParams>(apiKeyParamsSchema);
const readPage = reader<PageQuery>(pageQuerySchema);

/** The verbs on API keys. The key itself is in one answer, that of its making. */
export function apiKeyHandlers(
  apiKeys: ApiKeys,
): Record<'listApiKeys' | 'createApiKey' | 'revokeApiKey', OperatorHandler> {
  return {
    async listApiKeys(operator, request) {
      const { keys, next_cursor } = await apiKeys.list(tenantOf(operator), pageOf(request.query));
      return { success: true, api_keys: keys.map(keyJson), next_cursor };
    },
    async createApiKey(operator, request) {
      const { token, key } = await apiKeys.create(operator, readCreate(request.body));
      return { success: true, token, api_key: keyJson(key) };
    },
    async revokeApiKey(operator, request) {
      const { id } = readParams(request.params);
      await apiKeys.revoke(operator, id);
      return { success: true, revoked: id };
    },
  };
}

/** Of a list by id. */
export function pageOf(query: unknown): { readonly cursor?: string; readonly limit: number } {
  const { cursor, limit } = readPage(query);
  return { ...(cursor === undefined ? {} : { cursor }), limit: Number(limit ?? PAGE_LIMIT.usual) };
}

function keyJson({ created_at, last_used_at, expires_at, ...key }: ApiKey): object {
  return {
    ...key,
    created_at: timeText(created_at),
    last_used_at: timeOrNull(last_used_at),
    expires_at: timeText(expires_at),
  };
}
