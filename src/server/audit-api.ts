import type { Audit } from '../authority/audit.ts';
import { tenantOf } from '../authority/operators.ts';
import { pageOf } from './api-keys-api.ts';
import type { OperatorHandler } from './guard.ts';
import { timeText } from './time.ts';

export function auditHandlers(audit: Audit): Record<'listAudit', OperatorHandler> {
  return {
    async listAudit(operator, request) {
      const { entries, next_cursor } = await audit.list(tenantOf(operator), pageOf(request.query));
      const shown = entries.map((entry) => ({ ...entry, time: timeText(entry.time) }));
      return { success: true, entries: shown, next_cursor };
    },
  };
}
