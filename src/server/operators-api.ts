import { tenantOf } from '../authority/operators.ts';
import { permissionsOf } from '../authority/roles.ts';
import type { Member, Roster } from '../authority/roster.ts';
import {
  type AddOperatorBody,
  addOperatorSchema,
  type ChangeOperatorBody,
  changeOperatorSchema,
  type OperatorParams,
  operatorParamsSchema,
} from '../schema/api-access.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { timeText } from './time.ts';

const readAdd = reader<AddOperatorBody>(addOperatorSchema);
const readChange = reader<ChangeOperatorBody>(changeOperatorSchema);
const readParams = reader<OperatorParams>(operatorParamsSchema);

/** The verbs on operators of the caller's org and env. */
export function operatorHandlers(
  roster: Roster,
): Record<'listOperators' | 'addOperator' | 'changeOperator' | 'removeOperator', OperatorHandler> {
  return {
    async listOperators(operator) {
      const members = await roster.list(tenantOf(operator));
      return { success: true, operators: members.map(memberJson) };
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
