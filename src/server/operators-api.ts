import type { Access } from '../authority/access.ts';
import { tenantOf } from '../authority/operators.ts';
import { permissionsOf } from '../authority/roles.ts';
import type { Member } from '../authority/roster.ts';
import {
  type AddOperatorBody,
  addOperatorSchema,
  type ChangeOperatorBody,
  changeOperatorSchema,
  type OperatorParams,
  operatorParamsSchema,
} from '../schema/api-access.ts';
import type { OperatorHandler } from './guard.ts';
import { nextOf, pageOf } from './page.ts';
import { reader } from './read.ts';
import { timeText } from './time.ts';

const readAdd = reader<AddOperatorBody>(addOperatorSchema);
const readChange = reader<ChangeOperatorBody>(changeOperatorSchema);
const readParams = reader<OperatorParams>(operatorParamsSchema);

/** The verbs on operators of the caller's org and env. */
export function operatorHandlers({
  roster,
  cursors,
}: Pick<Access, 'roster' | 'cursors'>): Record<
  'listOperators' | 'addOperator' | 'changeOperator' | 'removeOperator',
  OperatorHandler
> {
  return {
    async listOperators(operator, request) {
      const tenant = tenantOf(operator);
      const { cursor = '', limit } = pageOf(cursors, 'listOperators', tenant, request.query);
      const rest = (await roster.list(tenant))
        .filter(({ id }) => id > cursor)
        .sort((a, b) => (a.id < b.id ? -1 : 1));
      const shown = rest.slice(0, limit);
      const last = rest.length > limit ? (shown.at(-1)?.id ?? null) : null;
      const next_cursor = nextOf(cursors, 'listOperators', tenant, last);
      return { success: true, operators: shown.map(memberJson), next_cursor };
    },
    async addOperator(operator, request) {
      const member = await roster.add(operator, readAdd(request.body));
      return { success: true, operator: memberJson(member) };
    },
    async changeOperator(operator, request) {
      const { id } = readParams(request.params);
      const member = await roster.change(operator, id, readChange(request.body));
      return { success: true, operator: memberJson(member) };
    },
    async removeOperator(operator, request) {
      const { id } = readParams(request.params);
      await roster.remove(operator, id);
      return { success: true, removed: id };
    },
  };
}

function memberJson(member: Member): object {
  return { ...member, permissions: [...permissionsOf(member)], added_at: timeText(member.added_at) };
}
