import { equal, ok } from 'node:assert/strict';
import { Denial } from '../../../src/reason.ts';
import { bodyFacts } from '../../../src/request/body.ts';
import { toRequest, toResponse } from '../../../src/request/envoy.ts';
import { checkSizes, readCredentials } from '../../../src/request/headers.ts';
import { strippedHeaders } from '../../../src/request/strip.ts';
import type { CheckRequestMessage } from '../../../src/schema/check.ts';
import type { Decision } from '../../../src/schema/decision.ts';
import { checkMethod, loadProtos } from '../../../src/server/proto.ts';
import { denied } from '../../support/envoy.ts';
import { refusing, type Target } from '../target.ts';

const method = checkMethod(loadProtos());

/** Bytes as the gRPC port takes them, up to the credentials, and the answer to what came of them. */
export const checkRequest: Target = {
  name: 'check-request',
  maxBytes: 4_000,
  words: [
    'x-lemma-credential',
    'x-lemma-proof',
    'x-lemma-pop',
    'signature-input',
    'authorization',
    'Bearer lm_at_',
    ':authority',
    'host',
    'content-length',
    'transfer-encoding',
    'x-envoy-auth-partial-body',
    'traceparent',
    'GET',
    'lemma_route',
    'sig=();tag="lemma-pop"',
    ',',
    '\u212a',
    'X-Original-URL',
  ],
  run(input) {
    // Whatever the decoder throws is a denial at the port; it must throw an Error, and come back.
    const message = refusing(
      () => method.requestDeserialize(Buffer.from(input)) as CheckRequestMessage,
      Error,
    );
    if (message === undefined) return;
    const request = toRequest(message);
    for (const [name, value] of request.headers) {
      ok(!/[A-Z]/.test(name), `the name ${name} is not in lower case`);
      ok(!/[^\0-\xff]/.test(value), 'a value is no byte string');
    }
    for (const text of [request.method, request.scheme, request.host, request.target, request.protocol])
      equal(typeof text, 'string');
    refusing(() => checkSizes(request.headers), Denial);
    refusing(() => readCredentials(request, []), Denial);
    bodyFacts(request);
    const stripped = strippedHeaders(request, null);
    const decision: Decision = { ...denied('internal_error'), ...stripped };
    for (const one of [decision, { ...decision, verdict: 'allow', reason: 'allowed' } as const]) {
      const answer = toResponse(one, request);
      method.responseDeserialize(method.responseSerialize(answer));
      equal(answer.status.code === 0, one.verdict === 'allow');
      if ('ok_response' in answer) {
        const set = new Set(answer.ok_response.headers.map(({ header }) => header.key));
        const left = request.headers.filter(
          ([name]) =>
            name.startsWith('x-lemma-') &&
            !set.has(name) &&
            !answer.ok_response.headers_to_remove.includes(name),
        );
        equal(left.length, 0, `what the client sent as ${left[0]?.[0]} goes on to the upstream`);
      }
    }
  },
};
