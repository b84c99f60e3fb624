import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Operator, Operators } from '../authority/operators.ts';
import { Refusal } from '../authority/refusal.ts';
import { CONTROL_BODY_LIMIT, DECIDE_BODY_LIMIT } from './decide-routes.ts';
import { type Operation, routePath } from './operations.ts';

/** What a handler of an operation behind the operator's key is given. */
export type OperatorHandler = (operator: Operator, request: FastifyRequest, reply: FastifyReply) => unknown;

/** Routes an operation whose key is looked at before the body is even read. */
export function addGuarded(
  app: FastifyInstance,
  operators: Operators,
  operation: Operation,
  handler: OperatorHandler,
): void {
  const callers = new WeakMap<FastifyRequest, Operator>();
  app.route({
    method: operation.method,
    url: routePath(operation),
    bodyLimit: operation.bodyLimit ?? (operation.decides ? DECIDE_BODY_LIMIT : CONTROL_BODY_LIMIT),
    onRequest: async (request) => {
      const operator = authenticate(operators, request.headers.authorization);
      if (operation.needs !== null && !operator.may.has(operation.needs))
        throw new Refusal('forbidden', `this needs the permission ${operation.needs}`);
      callers.set(request, operator);
    },
    handler: (request, reply) => {
      const operator = callers.get(request);
      if (operator === undefined) throw new Error('a guarded handler was reached without its guard');
      return handler(operator, request, reply);
    },
  });
}

function authenticate(operators: Operators, authorization: string | undefined): Operator {
  const key = /^Bearer +([\w-]+) *$/i.exec(authorization ?? '')?.[1];
  if (key === undefined)
    throw new Refusal('auth_required', "send the operator's key: Authorization: Bearer lm_op_…");
  const operator = operators.authenticate(key);
  if (operator === null) throw new Refusal('auth_required', "this is not the operator's key");
  return operator;
}
