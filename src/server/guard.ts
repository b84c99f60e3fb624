import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Audit } from '../authority/audit.ts';
import { nameOf, type Operator } from '../authority/operators.ts';
import { Refusal } from '../authority/refusal.ts';
import { auditTrail } from './audit-trail.ts';
import type { Authenticate } from './authenticate.ts';
import { CONTROL_BODY_LIMIT, DECIDE_BODY_LIMIT } from './decide-routes.ts';
import type { Flood, FloodLimits } from './flood.ts';
import { type Operation, type OperationId, routePath } from './operations.ts';

/** What a handler of an operation that asks who calls is given. */
export type OperatorHandler = (operator: Operator, request: FastifyRequest, reply: FastifyReply) => unknown;

/**
 * Another way to be let in than an operator's: what answers the request then, or null where it does not ask for it. Looked
 * at before the body is read.
 */
export type OtherCaller = (request: FastifyRequest) => ((reply: FastifyReply) => Promise<unknown>) | null;

export interface GuardOptions {
  readonly authenticate: Authenticate;
  readonly audit: Audit;
  /** What one operator may try in vain. */
  readonly refusals: Flood;
}

/** Each is a line of the audit trail, which must not be filled by somebody who may do nothing. */
export const REFUSALS: FloodLimits = { burst: 60, perSecond: 1, everyone: { burst: 600, perSecond: 20 } };

/**
 * Routes an operation whose caller is looked at before the body is even read; and once more where the body came later, which
 * its sender may hold back until he may do nothing any more.
 */
export function addGuarded(
  app: FastifyInstance,
  { authenticate, audit, refusals }: GuardOptions,
  id: OperationId,
  operation: Operation,
  handler: OperatorHandler,
  otherwise: OtherCaller = () => null,
): void {
  const callers = new WeakMap<FastifyRequest, Operator>();
  const late = new WeakSet<FastifyRequest>();
  const others = new WeakMap<FastifyRequest, (reply: FastifyReply) => Promise<unknown>>();
  const unsafe = operation.method !== 'GET';
  // What decides is in the decision log.
  const audited = unsafe && operation.decides !== true;
  const told = (request: FastifyRequest, { statusCode }: FastifyReply) =>
    operation.routine === true && statusCode !== 403 ? null : (callers.get(request) ?? null);
  app.route({
    method: operation.method,
    url: routePath(operation),
    bodyLimit:
      operation.bodyLimit ?? (operation.decides || operation.large ? DECIDE_BODY_LIMIT : CONTROL_BODY_LIMIT),
    ...(audited ? { onSend: auditTrail(audit, id, told) } : {}),
    onRequest: async (request, reply) => {
      const other = otherwise(request);
      if (other !== null) {
        others.set(request, other);
        return;
      }
      await letIn(request, reply);
      if (request.raw.complete === false) late.add(request);
    },
    handler: async (request, reply) => {
      const other = others.get(request);
      if (other !== undefined) return other(reply);
      if (late.has(request)) await letIn(request, reply);
      const operator = callers.get(request);
      if (operator === undefined) throw new Error('a guarded handler was reached without its guard');
      return handler(operator, request, reply);
    },
  });

  async function letIn(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const operator = await authenticate(request, reply, unsafe);
    const { needs } = operation;
    const forbidden = needs !== null && needs !== 'signed_in' && !operator.may.has(needs);
    if (forbidden && audited) refusals.take(nameOf(operator));
    callers.set(request, operator);
    if (forbidden) throw new Refusal('forbidden', `this needs the permission ${needs}`);
  }
}
