import { deepEqual, equal, throws } from 'node:assert/strict';
import fc from 'fast-check';
import { InputError } from '../../src/reason.ts';
import { checkRequestFromJson, checkResponseToJson, toRequest, toResponse } from '../../src/request/envoy.ts';
import type { CheckRequestMessage, HttpRequestMessage } from '../../src/schema/check.ts';
import { allowed, denied } from '../support/envoy.ts';

const http = (fields: HttpRequestMessage): CheckRequestMessage => ({
  attributes: { request: { http: fields } },
});
const raw = (...lines: [string, string][]) =>
  http({
    header_map: { headers: lines.map(([key, value]) => ({ key, raw_value: Buffer.from(value, 'latin1') })) },
  });
const plain = toRequest({});

describe('request/envoy toRequest', () => {
  it('turns an empty message into a request whose path no rule accepts', () => {
    deepEqual(plain, {
      border: 'grpc',
      method: '',
      scheme: '',
      host: '',
      target: '',
      headers: [],
      body: { seen: null, partial: false, size: null },
      protocol: '',
      source: { address: '', principal: '' },
      traceId: null,
    });
  });

  it('lowers names and trims values', () => {
    deepEqual(toRequest(raw(['X-Lemma-Proof', ' \tabc \t'])).headers, [['x-lemma-proof', 'abc']]);
  });

  it('keeps every line of a name in header_map', () => {
    deepEqual(toRequest(raw(['a', '1'], ['a', '2'])).headers, [
      ['a', '1'],
      ['a', '2'],
    ]);
  });

  it('doubles a line that stands in headers and in header_map, so that it is refused as ambiguous', () => {
    const message = http({
      headers: { a: '1' },
      header_map: { headers: [{ key: 'a', raw_value: Buffer.from('1') }] },
    });
    deepEqual(toRequest(message).headers, [
      ['a', '1'],
      ['a', '1'],
    ]);
  });

  it('keeps :authority and :protocol, and drops the other pseudo-headers', () => {
    const message = raw(
      [':method', 'GET'],
      [':authority', 'a'],
      [':protocol', 'websocket'],
      [':path', '/'],
      ['host', 'b'],
    );
    deepEqual(
      toRequest(message).headers.map(([name]) => name),
      [':authority', ':protocol', 'host'],
    );
  });

  it('gives a non-ASCII value the same bytes from headers and from header_map', () => {
    const joined = toRequest(http({ headers: { a: 'é' } })).headers;
    const bytes = toRequest(
      http({ header_map: { headers: [{ key: 'a', raw_value: Buffer.from('é', 'utf8') }] } }),
    ).headers;
    deepEqual(joined, bytes);
  });

  it('counts a body as partial as soon as one line says so', () => {
    const name = 'x-envoy-auth-partial-body';
    equal(toRequest(raw([name, 'true'], [name, 'false'])).body.partial, true);
    equal(toRequest(raw([name, 'false'])).body.partial, false);
  });

  it('takes a size of 0 or -1 as unknown', () => {
    equal(toRequest(http({ size: 0 })).body.size, null);
    equal(toRequest(http({ size: -1 })).body.size, null);
    equal(toRequest(http({ size: 7 })).body.size, 7);
  });

  it('reads raw_body, else body as UTF-8', () => {
    deepEqual(toRequest(http({ raw_body: Buffer.from([255, 0]) })).body.seen, Buffer.from([255, 0]));
    deepEqual(toRequest(http({ body: 'hé' })).body.seen, Buffer.from('hé'));
  });

  it('reads the named route, even an empty name, and nothing inherited', () => {
    const named = (extensions: Record<string, string>) =>
      toRequest({ attributes: { context_extensions: extensions } }).routeId;
    equal(named({ lemma_route: 'documents.read' }), 'documents.read');
    equal(named({ lemma_route: '' }), '');
    equal(named(Object.create({ lemma_route: 'inherited' })), undefined);
  });

  it('reads the source from a socket or a pipe', () => {
    const of = (address: object) =>
      toRequest({ attributes: { source: { address, principal: 'spiffe://a' } } }).source;
    deepEqual(of({ socket_address: { address: '10.0.0.7' } }), {
      address: '10.0.0.7',
      principal: 'spiffe://a',
    });
    equal(of({ pipe: { path: '/run/p.sock' } }).address, '/run/p.sock');
  });

  it('knows only http and https as schemes', () => {
    equal(toRequest(http({ scheme: 'HTTPS' })).scheme, 'https');
    equal(toRequest(http({ scheme: 'javascript' })).scheme, '');
  });

  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  for (const [value, expected] of [
    [`00-${trace}-00f067aa0ba902b7-01`, trace],
    [`cc-${trace}-00f067aa0ba902b7-01-later`, trace],
    [`00-${trace}-00f067aa0ba902b7-01-more`, null],
    [`ff-${trace}-00f067aa0ba902b7-01`, null],
    [`00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, null],
    [`00-${trace}-${'0'.repeat(16)}-01`, null],
    [`00-${trace.toUpperCase()}-00f067aa0ba902b7-01`, null],
  ] as const) {
    it(`reads traceparent ${value}`, () => equal(toRequest(raw(['traceparent', value])).traceId, expected));
  }

  it('takes no trace id from two traceparents', () => {
    const line: [string, string] = ['traceparent', `00-${trace}-00f067aa0ba902b7-01`];
    equal(toRequest(raw(line, line)).traceId, null);
  });
});

describe('request/envoy toResponse', () => {
  const headersOf = (message: ReturnType<typeof toResponse>) => {
    const options = 'ok_response' in message ? message.ok_response.headers : message.denied_response.headers;
    return Object.fromEntries(options.map((option) => [option.header.key, option.header.value]));
  };
  const removedOf = (message: ReturnType<typeof toResponse>) =>
    'ok_response' in message ? message.ok_response.headers_to_remove : [];

  it('tells the upstream who acts', () => {
    deepEqual(headersOf(toResponse(allowed(), plain)), {
      'x-lemma-subject': 'did:lemma:ppid_1',
      'x-lemma-runtime-id': 'bot-1',
      'x-lemma-agent-id': 'bot',
      'x-lemma-workspace-id': 'prod',
      'x-lemma-run-id': 'run-1',
      'x-lemma-scope': 'documents.read pay.send',
      'x-lemma-decision-id': 'dec_1',
    });
  });

  it('says only the decision id of a public route', () => {
    deepEqual(headersOf(toResponse(allowed({ actor: null }), plain)), { 'x-lemma-decision-id': 'dec_1' });
  });

  it('says in both ways that headers are overwritten', () => {
    const message = toResponse(allowed(), plain);
    const options = 'ok_response' in message ? message.ok_response.headers : [];
    equal(
      options.length > 0 && options.every((o) => o.append.value === false && o.append_action === 2),
      true,
    );
  });

  it('never removes a name that it sets', () => {
    const decision = allowed({
      strip: ['x-lemma-subject', 'x-lemma-proof', 'signature'],
      rewrite: [['signature', 'b=:YQ==:']],
    });
    deepEqual(removedOf(toResponse(decision, plain)), ['x-lemma-proof']);
  });

  it('removes identity names that a client sent and that it does not set, with underscores too', () => {
    const request = toRequest(
      raw(['x-lemma-run-id', 'evil'], ['x_lemma_subject', 'evil'], ['x-lemma-subject', 'evil']),
    );
    const actor = { ...(allowed().actor ?? {}), run_id: null } as ReturnType<typeof allowed>['actor'];
    deepEqual(removedOf(toResponse(allowed({ actor }), request)), ['x-lemma-run-id', 'x_lemma_subject']);
  });

  it('removes a name as it was read, though another case mapping would make another of it', () => {
    const kelvin = 'x-lemma-to\u212aen';
    deepEqual(removedOf(toResponse(allowed({ strip: [kelvin] }), plain)), [kelvin]);
  });

  it('lets no policy header replace an identity, set or empty', () => {
    const headers = { 'X-Lemma-Subject': 'root', 'x-lemma-run-id': 'root', 'x-team': 'a' };
    const result = { allow: true, reason: 'allowed', reasons: [], headers };
    const message = toResponse(allowed({ actor: null, result }), plain);
    deepEqual(headersOf(message), { 'x-team': 'a', 'x-lemma-decision-id': 'dec_1' });
  });

  it('adds a cookie to the answer, and overwrites any other response header', () => {
    const result = {
      allow: true,
      reason: 'allowed',
      reasons: [],
      response_headers_to_add: { 'set-cookie': 'c=1', 'cache-control': 'no-store' },
      request_headers_to_remove: ['X-Internal', ':path', 'Host'],
    };
    const message = toResponse(allowed({ result }), plain);
    deepEqual(
      'ok_response' in message && message.ok_response.response_headers_to_add.map((o) => o.append_action),
      [0, 2],
    );
    deepEqual(removedOf(message), ['x-internal']);
  });

  it('says to the upstream of an observed decision what would have been denied, without the denial’s effects', () => {
    const result = {
      allow: false,
      reason: 'policy_denied',
      reasons: ['policy_denied'],
      headers: { 'x-why': 'no' },
    };
    const message = toResponse(
      allowed({ actor: null, observed: true, reason: 'policy_denied', result }),
      plain,
    );
    deepEqual(headersOf(message), { 'x-lemma-decision-id': 'dec_1', 'x-lemma-observed': 'policy_denied' });
    equal(message.status.code, 0);
  });

  it('denies with the code’s two statuses and a JSON body', () => {
    const message = toResponse(denied('auth_required'), plain);
    deepEqual(
      'denied_response' in message && [message.status.code, message.denied_response.status.code],
      [16, 401],
    );
    deepEqual('denied_response' in message && JSON.parse(message.denied_response.body), {
      success: false,
      error: 'auth_required',
      decision_id: 'dec_1',
    });
    deepEqual(headersOf(message), { 'content-type': 'application/json' });
  });

  it('gives a policy’s own status, headers and body to its denial', () => {
    const result = {
      allow: false,
      reason: 'x_quota',
      reasons: ['x_quota'],
      http_status: 429,
      headers: { 'Retry-After': '5' },
      body: 'slow',
    };
    const message = toResponse(denied('x_quota', { result }), plain);
    deepEqual(
      'denied_response' in message && [
        message.status.code,
        message.denied_response.status.code,
        message.denied_response.body,
      ],
      [7, 429, 'slow'],
    );
    deepEqual(headersOf(message), { 'content-type': 'application/json', 'retry-after': '5' });
  });

  it('ignores an allowing result when a late kill denies', () => {
    const result = {
      allow: true,
      reason: 'allowed',
      reasons: [],
      headers: { 'x-secret': 'for the upstream' },
    };
    deepEqual(headersOf(toResponse(denied('runtime_killed', { result }), plain)), {
      'content-type': 'application/json',
    });
  });

  it('never denies under code 0', () => {
    const message = toResponse(denied('allowed'), plain);
    equal(message.status.code, 7);
  });

  it('puts decision id, verdict, reason and route into metadata, over the policy’s own', () => {
    const dynamic_metadata = { decision_id: 'forged', team: { size: 2, tags: ['a', null, true] } };
    const result = { allow: true, reason: 'allowed', reasons: [], dynamic_metadata };
    const message = toResponse(allowed({ result }), { ...plain, routeId: 'documents.read' });
    deepEqual((checkResponseToJson(message) as { dynamicMetadata: object }).dynamicMetadata, {
      decision_id: 'dec_1',
      team: { size: 2, tags: ['a', null, true] },
      verdict: 'allow',
      reason: 'allowed',
      route: 'documents.read',
    });
  });

  it('tells the policy\u2019s obligations in metadata, as long as its verdict is the answer', () => {
    const obligations = { step_up: 'approve it', max_response_ttl_s: 60 };
    const result = { allow: false, reason: 'policy_denied', reasons: ['policy_denied'], obligations };
    const told = (decision: ReturnType<typeof allowed>) =>
      (checkResponseToJson(toResponse(decision, plain)) as { dynamicMetadata: { obligations?: object } })
        .dynamicMetadata.obligations;
    deepEqual(told(denied('policy_denied', { result })), obligations);
    equal(told(allowed({ result })), undefined);
  });

  it('writes proto3 JSON in lowerCamel', () => {
    deepEqual(checkResponseToJson(toResponse(allowed({ actor: null, strip: ['a'] }), plain)), {
      status: { code: 0, message: 'allowed' },
      okResponse: {
        headers: [
          {
            header: { key: 'x-lemma-decision-id', value: 'dec_1' },
            append: false,
            appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD',
            keepEmptyValue: true,
          },
        ],
        headersToRemove: ['a'],
        responseHeadersToAdd: [],
      },
      dynamicMetadata: { decision_id: 'dec_1', verdict: 'allow', reason: 'allowed' },
    });
  });
});

describe('request/envoy checkRequestFromJson', () => {
  const attributes = (http: object) => ({ attributes: { request: { http } } });
  const problem = (json: unknown): string => {
    try {
      checkRequestFromJson(json);
    } catch (error) {
      if (error instanceof InputError) return error.message;
      throw error;
    }
    return 'accepted';
  };

  it('reads lowerCamel and snake_case alike', () => {
    const camel = checkRequestFromJson({
      attributes: {
        contextExtensions: { lemma_route: 'r' },
        request: { http: { rawBody: '/wA=', headerMap: { headers: [{ key: 'a', rawValue: '6Q==' }] } } },
      },
    });
    const snake = checkRequestFromJson({
      attributes: {
        context_extensions: { lemma_route: 'r' },
        request: { http: { raw_body: '_wA', header_map: { headers: [{ key: 'a', raw_value: '6Q' }] } } },
      },
    });
    deepEqual(toRequest(camel, 'rest'), toRequest(snake, 'rest'));
    deepEqual(toRequest(camel).headers, [['a', 'é']]);
  });

  it('takes int64 as digits or as a number', () => {
    equal(toRequest(checkRequestFromJson(attributes({ size: '12' }))).body.size, 12);
    equal(toRequest(checkRequestFromJson(attributes({ size: 12 }))).body.size, 12);
  });

  it('skips unknown members and reads null as unset', () => {
    const message = checkRequestFromJson({
      attributes: { request: { http: { host: null, method: 'GET', new: {} } }, x: 1 },
    });
    equal(toRequest(message).method, 'GET');
  });

  for (const [name, json, expected] of [
    ['an array', [], 'must be a JSON object'],
    ['a string for a message', { attributes: 'x' }, 'attributes: must be a JSON object'],
    [
      'a number for a string',
      attributes({ host: 1 }),
      'attributes.request.http.host: must be a string of Unicode characters',
    ],
    [
      'a lone surrogate',
      attributes({ path: '/\ud800' }),
      'attributes.request.http.path: must be a string of Unicode characters',
    ],
    [
      'an array for a header',
      attributes({ headers: { a: ['1', '2'] } }),
      'attributes.request.http.headers.a: must be a string of Unicode characters',
    ],
    [
      'bytes that are not base64',
      attributes({ raw_body: 'a*' }),
      'attributes.request.http.raw_body: must be bytes in base64',
    ],
    [
      'a fraction',
      attributes({ size: 1.5 }),
      'attributes.request.http.size: must be a whole number, or a string of its digits',
    ],
    [
      'one member under both names',
      attributes({ raw_body: '', rawBody: '' }),
      'attributes.request.http.raw_body: is given twice, also as rawBody',
    ],
    [
      'a list that is none',
      attributes({ header_map: { headers: {} } }),
      'attributes.request.http.header_map.headers: must be an array',
    ],
    [
      'a line that is none',
      attributes({ headerMap: { headers: [null] } }),
      'attributes.request.http.header_map.headers[0]: must be a JSON object',
    ],
  ] as const) {
    it(`refuses ${name}, naming the field`, () => equal(problem(json), expected));
  }

  it('names every wrong field at once', () => {
    throws(
      () => checkRequestFromJson(attributes({ host: 1, path: 2 })),
      (error: InputError) => error.problems.length === 2,
    );
  });

  it('reads or refuses, and never throws anything else', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        problem({ attributes: { request: { http: json } } });
        problem({ attributes: json });
        problem(json);
      }),
    );
  });
});
