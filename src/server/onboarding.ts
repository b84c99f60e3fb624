import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Authority } from '../authority/authority.ts';
import { Refusal } from '../authority/refusal.ts';
import { Denial, statusOf } from '../reason.ts';
import type { AuthzRequest, HeaderLine } from '../schema/request.ts';
import type { ErrorBody } from './errors.ts';
import { createFlood, sourceOf } from './flood.ts';
import type { OtherCaller } from './guard.ts';
import { bytesOf } from './http.ts';
import { proofJson, readBootstrap, readIssueProof, runtimeJson } from './runtimes-api.ts';

/** What a runtime may do without an operator's key: register itself by a join token, and renew its own proof. */

/** Of one source, since nobody is known yet who asks: signatures and look-ups cost more than a request does. */
const ATTEMPTS = { burst: 100, perSecond: 10, everyone: { burst: 1000, perSecond: 200 } } as const;
const JOIN_TOKEN = /^Bearer +(lm_jt_[\w-]{43}) *$/i;

/** `Authorization: Bearer lm_jt_…` on `bootstrap`. */
export function joining(authority: Pick<Authority, 'join'>): OtherCaller {
  const attempt = attempts();
  return (request) => {
    const token = JOIN_TOKEN.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) return null;
    return async () => {
      attempt(request);
      const { runtime, proof } = await authority.join(token, readBootstrap(request.body));
      return {
        success: true,
        runtime: runtimeJson(runtime),
        ...(proof === null ? {} : { proof: proofJson(proof) }),
      };
    };
  };
}

/** `X-Lemma-Proof` and `X-Lemma-PoP` on `issue-proof`, over this request. */
export function renewing(authority: Pick<Authority, 'renew'>): OtherCaller {
  const attempt = attempts();
  return (request) => {
    const { authorization, 'x-lemma-proof': proof } = request.headers;
    if (proof === undefined) return null;
    if (authorization !== undefined)
      throw new Refusal('auth_required', "send the operator's key or the runtime's own proof, not both");
    return async (reply) => {
      attempt(request);
      try {
        const body = readIssueProof(request.body);
        return { success: true, ...proofJson(await authority.renew(asReceived(request), body)) };
      } catch (error) {
        if (!(error instanceof Denial)) throw error;
        return denied(error, request, reply);
      }
    };
  };
}

/** Throws Refusal `rate_limited`. */
function attempts(): (request: FastifyRequest) => void {
  const flood = createFlood(ATTEMPTS);
  return (request) => flood.take(sourceOf(request));
}

/** Header lines as they came: none joined, none dropped. */
function asReceived(request: FastifyRequest): AuthzRequest {
  const { rawHeaders, url = '', httpVersion } = request.raw;
  const headers: HeaderLine[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    headers.push([(rawHeaders[i] ?? '').toLowerCase(), (rawHeaders[i + 1] ?? '').trim()]);
  }
  const seen = bytesOf(request);
  return {
    border: 'rest',
    method: request.method,
    scheme: request.protocol,
    host: request.headers.host ?? '',
    target: url,
    headers,
    body: { seen, partial: false, size: seen.length },
    protocol: `HTTP/${httpVersion}`,
    source: { address: request.ip, principal: '' },
    traceId: null,
  };
}

/** The caller sees the code; what exactly failed is for operators. */
function denied(error: Denial, request: FastifyRequest, reply: FastifyReply): ErrorBody {
  request.log.info({ reason: error.code, detail: error.message }, 'a renewal was denied');
  reply.code(statusOf(error.code).http);
  return { success: false, error: error.code, message: `denied: ${error.code}`, request_id: request.id };
}
