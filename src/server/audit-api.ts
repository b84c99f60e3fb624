import type { Access } from '../authority/access.ts';
import { tenantOf } from '../authority/operators.ts';
import type { OperatorHandler } from './guard.ts';
import { nextOf, pageOf } from './page.ts';
import { timeText } from './time.ts';

export function auditHandlers({
  audit,
  cursors,
}: Pick<Access, 'audit' | 'cursors'>): Record<'listAudit', OperatorHandler> {
  return {
    async listAudit(operator, request) {
      const tenant = tenantOf(operator);
      const page = pageOf(cursors, 'listAudit', tenant, request.query);
      const { entries, next_cursor } = await audit.list(tenant, page);
      const shown = entries.map((entry) => ({ ...entry, time: timeText(entry.time) }));
      return {
        success: true,
        entries: shown,
        next_cursor: nextOf(cursors, 'listAudit', tenant, next_cursor),
      };
    },
  };
}
