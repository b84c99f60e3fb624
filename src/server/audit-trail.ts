import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Audit } from '../authority/audit.ts';
import type { Operator } from '../authority/operators.ts';
import type { OperationId } from './operations.ts';

/** Members of a body that say what an operation is done to, where the path does not. */
const TARGETS = ['runtime_id', 'kid', 'subject', 'name', 'use'] as const;

/**
 * `callerOf`: null where nothing is to be kept.
 *
 * A hook that writes down what an operator did, before he is told of it: what was answered is in the trail. One that cannot
 * be written is in the operational log instead: a store that fails must not keep anybody from an answer to a kill.
 */
export function auditTrail(
  audit: Audit,
  what: OperationId,
  callerOf: (request: FastifyRequest, reply: FastifyReply) => Operator | null,
) {
  return async (request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<unknown> => {
    const operator = callerOf(request, reply);
    if (operator === null) return payload;
    const entry = {
      what,
      target: targetOf(request),
      request_id: request.id,
      outcome: reply.statusCode < 400 ? 'done' : refusedAs(payload),
    };
    try {
      await audit.append(operator, entry);
    } catch (error) {
      request.log.error(
        { err: error, operator: operator.id, by: operator.by, ...entry },
        'not in the audit trail',
      );
    }
    return payload;
  };
}

function targetOf({ params, body }: FastifyRequest): string | null {
  const id = memberOf(params, 'id');
  if (id !== null) return id;
  for (const name of TARGETS) {
    const found = memberOf(body, name);
    if (found !== null) return found;
  }
  return null;
}

function memberOf(value: unknown, name: string): string | null {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return null;
  const member: unknown = Reflect.get(value, name);
  return typeof member === 'string' ? member : null;
}

/** The code in the one shape of errors. */
function refusedAs(payload: unknown): string {
  try {
    return memberOf(JSON.parse(String(payload)), 'error') ?? 'failed';
  } catch {
    return 'failed';
  }
}
