import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  type Asked,
  FORWARD_AUTH_PREFIX,
  FORWARD_AUTH_PROXIES,
  type ForwardAuthAnswer,
  type ForwardAuthProxy,
  toRequest,
  toResponse,
} from '../request/forward-auth.ts';
import type { HeaderLine } from '../schema/request.ts';
import { DECIDE_BODY_LIMIT, type Decide } from './decide-routes.ts';
import { failure } from './errors.ts';
import { failed } from './failed.ts';
import { sendFailure } from './http.ts';
import { OPERATIONS, routePath } from './operations.ts';

// Not imported: the module's face to `import` holds a WebSocket, and with it all of undici (25 ms, 12 MiB).
const { METHODS, validateHeaderValue } = process.getBuiltinModule('node:http');

const ENVOY: string = FORWARD_AUTH_PREFIX + FORWARD_AUTH_PROXIES[0];

/**
 * All that Envoy asks has one route, whatever it puts behind its prefix: a router would decode that path, and refuse
 * what it cannot decode, before anybody judged it.
 */
export function routedAs(target: string): string {
  return target.startsWith(ENVOY) ? ENVOY : target;
}

/** `/forward-auth/<proxy>`, for any method. Whatever goes wrong is a denial with 401 or 403: a proxy knows no other. */
export function addForwardAuth(app: FastifyInstance, decide: Decide): void {
  const known = new Set(app.supportedMethods);
  // CONNECT is no request for Node's server, but a tunnel: without a listener it is closed.
  for (const method of METHODS)
    if (!known.has(method) && method !== 'CONNECT') app.addHttpMethod(method, { hasBody: true });
  app.route({
    method: app.supportedMethods,
    url: routePath(OPERATIONS.forwardAuth),
    // Answered before a body would be parsed: it is another's, of any type.
    onRequest: (request, reply) => answer(request, reply, decide),
    handler: () => {
      throw new Error('forward-auth has answered already');
    },
  });
}

async function answer(request: FastifyRequest, reply: FastifyReply, decide: Decide): Promise<FastifyReply> {
  const { proxy } = request.params as { readonly proxy: string };
  if (!isProxy(proxy)) {
    const names = FORWARD_AUTH_PROXIES.join(', ');
    sendFailure(failure('not_found', `no such proxy: one of ${names}`), request, reply);
    return reply;
  }
  try {
    send(reply, await decided(request, proxy, decide));
  } catch (error) {
    const decision = failed();
    // A question that breaks off is its proxy's, which hears nothing any more; an operator need not look into it.
    if (!request.raw.complete) request.log.info({ proxy }, 'a proxy hung up before its question was whole');
    else
      request.log.error(
        { err: error, decision_id: decision.decision_id },
        'forward-auth failed and was denied',
      );
    const nobody = toRequest({ proxy, method: '', target: '', headers: [], body: NO_BODY });
    send(reply, toResponse(decision, nobody, proxy));
  }
  return reply;
}

const NO_BODY = { bytes: new Uint8Array(), partial: false };

function isProxy(name: string): name is ForwardAuthProxy {
  return (FORWARD_AUTH_PROXIES as readonly string[]).includes(name);
}

async function decided(
  { raw, originalUrl }: FastifyRequest,
  proxy: ForwardAuthProxy,
  decide: Decide,
): Promise<ForwardAuthAnswer> {
  const asked: Asked = {
    proxy,
    method: raw.method ?? '',
    target: originalUrl,
    headers: pairs(raw.rawHeaders),
    body: await bodyOf(raw),
  };
  const request = toRequest(asked);
  return toResponse(await decide(request), request, proxy);
}

function pairs(raw: readonly string[]): HeaderLine[] {
  return raw.flatMap((name, i) => (i % 2 === 0 ? [[name, raw[i + 1] ?? ''] as const] : []));
}

/** The body as far as it is kept; the rest is read and forgotten, so that an answer can be sent. */
async function bodyOf(raw: IncomingMessage): Promise<Asked['body']> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of raw as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= DECIDE_BODY_LIMIT) chunks.push(chunk);
  }
  return { bytes: Buffer.concat(chunks), partial: size > DECIDE_BODY_LIMIT };
}

/** Throws, before anything is said, for a header that Node would not send: found later, it were a 500. */
function send(reply: FastifyReply, { status, headers, body }: ForwardAuthAnswer): void {
  for (const [name, value] of headers) validateHeaderValue(name, value);
  for (const [name, value] of headers) reply.header(name, value);
  // Bytes: with a text Node would encode the headers anew, as it does the text.
  reply.code(status).send(body === '' ? body : Buffer.from(body));
}
