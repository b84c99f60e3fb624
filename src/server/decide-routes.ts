import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  checkRequestFromJson,
  checkResponseToJson,
  toRequest,
  toResponse,
  traceOf,
} from '../request/envoy.ts';
import { toAnswer, toRequest as toAuthorizeRequest } from '../request/rest.ts';
import {
  type AuthorizeBody,
  authorizeSchema,
  type RuntimeParams,
  runtimeParamsSchema,
} from '../schema/api.ts';
import type { Decision } from '../schema/decision.ts';
import type { AuthzRequest } from '../schema/request.ts';
import { reader } from './read.ts';
import { peerOf } from './tls.ts';

export type Decide = (request: AuthzRequest) => Promise<Decision>;

/** Bodies of requests travel inside, in base64: as much as the gRPC port takes. */
export const DECIDE_BODY_LIMIT = 16 * 1024 * 1024;
/** Verbs of the control plane carry no bodies of others. */
export const CONTROL_BODY_LIMIT = 256 * 1024;

const readParams = reader<RuntimeParams>(runtimeParamsSchema);
const readAuthorize = reader<AuthorizeBody>(authorizeSchema);

/**
 * With the enforcement point that asks, where it showed a certificate, and the trace of its own question where the request
 * that it describes names none.
 */
export function seenBy({ raw }: FastifyRequest, asked: AuthzRequest): AuthzRequest {
  const enforcementPoint = peerOf(raw.socket);
  const { traceparent } = raw.headers;
  const traced = asked.traceId === null && typeof traceparent === 'string';
  return {
    ...asked,
    ...(enforcementPoint === null ? {} : { enforcementPoint }),
    ...(traced ? traceOf([['traceparent', traceparent]]) : {}),
  };
}

/** Envoy's Check in JSON: 200 with the CheckResponse, whatever the verdict; its `status.code` says it. */
export function checkHandler(decide: Decide) {
  return async (request: FastifyRequest) => {
    const asked = seenBy(request, toRequest(checkRequestFromJson(request.body ?? null), 'rest'));
    return checkResponseToJson(toResponse(await decide(asked), asked));
  };
}

/** An allow is 200; a denial has its reason's status and the shape of an error. */
export function authorizeHandler(decide: Decide) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { id } = readParams(request.params);
    const asked = seenBy(request, toAuthorizeRequest(readAuthorize(request.body), id));
    const { status, body } = toAnswer(await decide(asked), asked);
    return reply.code(status).send(body.success ? body : { ...body, request_id: request.id });
  };
}
