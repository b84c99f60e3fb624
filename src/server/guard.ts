import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Operator, Operators } from '../authority/operators.ts';
import { Refusal } from '../authority/refusal.ts';
import { CONTROL_BODY_LIMIT, DECIDE_BODY_LIMIT } from './decide-routes.ts';
import { type Operation, routePath } from './operations.ts';

/** What a handler of an operation behind the operator's key is given. */
export type OperatorHandler = (operator: Operator, request: FastifyRequest, reply: FastifyReply) => unknown;

/**
 * Another way to be let in than an operator's: what answers the request then, or null where it does not ask for it. Looked
 * at before the body is read.
 */
export type OtherCaller = (request: FastifyRequest) => ((reply: FastifyReply) => Promise<unknown>) | null;

/** Routes an operation whose key is looked at before the body is even read. */
export function addGuarded(
  app: FastifyInstance,
  operators: Operators,
  operation: Operation,
  handler: OperatorHandler,
  otherwise: OtherCaller = () => null,
): void {
  const callers = new WeakMap<FastifyRequest, Operator>();
  const others = new WeakMap<FastifyRequest, (reply: FastifyReply) => Promise<unknown>>();
  app.route({
    method: operation.method,
    url: routePath(operation),
    bodyLimit:
      operation.bodyLimit ?? (operation.decides || operation.large ? DECIDE_BODY_LIMIT : CONTROL_BODY_LIMIT),
    onRequest: async (request) => {
      const other = otherwise(request);
      if (other !== null) {
        others.set(request, other);
        return;
      }
      const operator = authenticate(operators, request.headers.authorization);
      if (operation.needs !== null && !operator.may.has(operation.needs))
        throw new Refusal('forbidden', `this needs the permission ${operation.needs}`);
      callers.set(request, operator);
    },
    handler: (request, reply) => {
      const other = others.get(request);
      if (other !== undefined) return other(reply);
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
