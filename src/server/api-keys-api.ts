import type { Access } from '../authority/access.ts';
import type { ApiKey } from '../authority/api-keys.ts';
import { tenantOf } from '../authority/operators.ts';
import {
  type ApiKeyParams,
  apiKeyParamsSchema,
  type CreateApiKeyBody,
  createApiKeySchema,
} from '../schema/api-access.ts';
import type { OperatorHandler } from './guard.ts';
import { nextOf, pageOf } from './page.ts';
import { reader } from './read.ts';
import { timeOrNull, timeText } from './time.ts';

const readCreate = reader<CreateApiKeyBody>(createApiKeySchema);
const readParams = reader<ApiKeyParams>(apiKeyParamsSchema);

/** The verbs on API keys. The key itself is in one answer, that of its making. */
export function apiKeyHandlers({
  apiKeys,
  cursors,
}: Pick<Access, 'apiKeys' | 'cursors'>): Record<
  'listApiKeys' | 'createApiKey' | 'revokeApiKey',
  OperatorHandler
> {
  return {
    async listApiKeys(operator, request) {
      const tenant = tenantOf(operator);
      const page = pageOf(cursors, 'listApiKeys', tenant, request.query);
      const { keys, next_cursor } = await apiKeys.list(tenant, page);
      const next = nextOf(cursors, 'listApiKeys', tenant, next_cursor);
      return { success: true, api_keys: keys.map(keyJson), next_cursor: next };
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

function keyJson({ created_at, last_used_at, expires_at, ...key }: ApiKey): object {
  return {
    ...key,
    created_at: timeText(created_at),
    last_used_at: timeOrNull(last_used_at),
    expires_at: timeText(expires_at),
  };
}
