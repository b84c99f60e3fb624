import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Tokens } from '../authority/tokens.ts';
import type { Exchanged, TokenWish } from '../pdp/exchange.ts';
import { createSources } from '../pdp/sources.ts';
import { statusOf } from '../reason.ts';
import { toRequest } from '../request/own.ts';
import { type ExchangeBody, exchangeSchema, type TokenBody, tokenBodySchema } from '../schema/api-tokens.ts';
import type { AuthzRequest, HeaderLine } from '../schema/request.ts';
import { CONTROL_BODY_LIMIT, seenBy } from './decide-routes.ts';
import { sourceOf } from './flood.ts';
import type { OperatorHandler } from './guard.ts';
import { bytesOf } from './http.ts';
import { OPERATIONS, routePath } from './operations.ts';
import { reader } from './read.ts';

export type Exchange = (request: AuthzRequest, wish: TokenWish) => Promise<Exchanged>;

const readExchange = reader<ExchangeBody>(exchangeSchema);
const readToken = reader<TokenBody>(tokenBodySchema);

/** Exchanges at one listener: none waits in the lane of decisions, so that a flood of them is refused here. */
const OF_ONE = { rate: 10, burst: 50 };
const OF_ALL = { rate: 50, burst: 200 };

/** `exchange-proof` asks for no key: the proof says who asks. */
export function addExchange(app: FastifyInstance, exchange: Exchange): void {
  const mayAsk = createSources(() => performance.now());
  app.route({
    method: 'POST',
    url: routePath(OPERATIONS.exchangeProof),
    bodyLimit: CONTROL_BODY_LIMIT,
    onRequest: async (request, reply) => {
      if (mayAsk(sourceOf(request), OF_ONE) && mayAsk('', OF_ALL)) return;
      const message = 'too many exchanges: a token lives for minutes, keep it';
      reply.code(429).header('retry-after', '1');
      return reply.send({ success: false, error: 'rate_limited', message, request_id: request.id });
    },
    handler: (request, reply) => answerExchange(request, reply, exchange),
  });
}

async function answerExchange(request: FastifyRequest, reply: FastifyReply, exchange: Exchange) {
  const wish = readExchange(request.body) ?? {};
  const { decision, token } = await exchange(seenBy(request, askedOf(request)), wish);
  const { decision_id, reason, result } = decision;
  if (token === null) {
    const message = result?.message ?? `denied: ${reason}; the decision log says more under ${decision_id}`;
    const body = { success: false, error: reason, message, request_id: request.id, decision_id };
    return reply.code(statusOf(reason).http).send(body);
  }
  const { text, facts, scope, audience, runtime_id } = token;
  return {
    success: true,
    token: text,
    token_type: 'Bearer',
    token_id: facts.id,
    runtime_id,
    scope,
    audience,
    expires_in: facts.expires_at - facts.issued_at,
    expires_at: new Date(facts.expires_at * 1000).toISOString(),
    decision_id,
  };
}

function askedOf(request: FastifyRequest): AuthzRequest {
  const { raw, ip } = request;
  return toRequest({
    method: raw.method ?? '',
    scheme: request.protocol === 'https' ? 'https' : 'http',
    target: raw.url ?? '',
    headers: raw.rawHeaders.flatMap((name, i): HeaderLine[] =>
      i % 2 === 0 ? [[name, raw.rawHeaders[i + 1] ?? '']] : [],
    ),
    body: bytesOf(request),
    address: ip,
  });
}

/** RFC 7662 and RFC 7009, by an API key. */
export function tokenHandlers(tokens: Tokens): Record<'introspect' | 'revokeToken', OperatorHandler> {
  return {
    introspect({ org, env }, request) {
      const { token: text } = readToken(request.body);
      const chain = tokens.introspect(text, { org, env });
      if (chain === null) return { active: false };
      const { token, leaf, runtime } = chain;
      return {
        active: true,
        scope: leaf.scope.join(' '),
        client_id: runtime.claims.runtime_id,
        sub: leaf.subject,
        aud: leaf.audience,
        iss: token.issuer,
        exp: token.expires_at,
        iat: token.issued_at,
        nbf: token.not_before,
        jti: token.id,
        token_type: 'Bearer',
      };
    },
    async revokeToken(operator, request) {
      const { token } = readToken(request.body);
      const { id, org, env } = operator;
      await tokens.revoke(token, { reason: 'legacy token', by: id }, { org, env });
      return { success: true };
    },
  };
}
