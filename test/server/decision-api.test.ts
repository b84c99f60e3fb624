import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Decision } from '../../src/schema/decision.ts';
import { decisionApp } from '../../src/server/decision-api.ts';
import { DECISION_ID, decision, denial, memoryLog, scripted } from './support.ts';

const CHECK = '/envoy.service.auth.v3.Authorization/Check';
const AUTHORIZE = '/api/wallet/runtimes/bot-1/authorize';

async function post(url: string, payload: object, answer: Decision = decision()) {
  const { decide, asked } = scripted(answer);
  const app = decisionApp({ decide, ready: () => true, log: memoryLog().log });
  const response = await app.inject({ method: 'POST', url, payload });
  await app.close();
  return { status: response.statusCode, body: response.json(), asked: asked[0] };
}

describe("the mirror of Envoy's Check", () => {
  const payload = {
    attributes: {
      request: {
        http: {
          method: 'GET',
          host: 'api.example.com',
          path: '/v1/documents/7',
          scheme: 'https',
          headers: { A: 'b' },
        },
      },
      contextExtensions: { lemma_route: 'documents.read' },
    },
  };

  it('asks what the CheckRequest says', async () => {
    const { asked } = await post(CHECK, payload);
    assert.deepEqual(
      [asked?.border, asked?.method, asked?.host, asked?.target, asked?.headers, asked?.routeId],
      ['rest', 'GET', 'api.example.com', '/v1/documents/7', [['a', 'b']], 'documents.read'],
    );
  });

  it('answers an allow with 200 and status 0', async () => {
    const { status, body } = await post(CHECK, payload);
    assert.deepEqual([status, body.status.code, body.dynamicMetadata.decision_id], [200, 0, DECISION_ID]);
  });

  it('answers a denial with 200 and its gRPC status', async () => {
    const { status, body } = await post(CHECK, payload, denial());
    assert.deepEqual([status, body.status.code, body.deniedResponse.status.code], [200, 7, 403]);
  });
});

describe('authorize', () => {
  const ask = { method: 'GET', url: 'https://api.example.com/v1/documents/7?a=%20b' };

  it('asks for the runtime of its path', async () => {
    const { asked } = await post(AUTHORIZE, ask);
    assert.deepEqual([asked?.border, asked?.runtimeId], ['authorize', 'bot-1']);
  });

  it('takes a URL apart as it stands', async () => {
    const { asked } = await post(AUTHORIZE, ask);
    assert.deepEqual(
      [asked?.scheme, asked?.host, asked?.target],
      ['https', 'api.example.com', '/v1/documents/7?a=%20b'],
    );
  });

  it('takes scheme, host and target', async () => {
    const parts = { scheme: 'http', host: 'a.example:8080', target: '/x?y' };
    const { asked } = await post(AUTHORIZE, { method: 'PUT', ...parts });
    assert.deepEqual({ scheme: asked?.scheme, host: asked?.host, target: asked?.target }, parts);
  });

  it('never decodes or normalises a path', async () => {
    const odd = fc.constantFrom('..', '.', '%2e', '%2F', '//', '\\', ';', '#', '%', 'a', 'Ä', '?', ' ');
    await fc.assert(
      fc.asyncProperty(fc.array(odd, { minLength: 1, maxLength: 6 }), async (parts) => {
        const rest = `/${parts.join('')}`;
        const { asked } = await post(AUTHORIZE, { method: 'GET', url: `https://api.example.com${rest}` });
        assert.equal(asked?.target, rest);
      }),
      { numRuns: 40 },
    );
  });

  for (const [url, target] of [
    ['https://a.example', '/'],
    ['https://a.example?x=1', '/?x=1'],
  ] as const) {
    it(`reads ${url} as ${target}`, async () => {
      assert.equal((await post(AUTHORIZE, { method: 'GET', url })).asked?.target, target);
    });
  }

  it('keeps a header that came twice apart, and values as bytes', async () => {
    const headers = { 'X-Two': ['1', '2'], 'X-Name': 'Zoë' };
    const { asked } = await post(AUTHORIZE, { ...ask, headers });
    const bytes = Buffer.from('Zoë').toString('latin1');
    assert.deepEqual(asked?.headers, [
      ['x-two', '1'],
      ['x-two', '2'],
      ['x-name', bytes],
    ]);
  });

  it('finds the trace', async () => {
    const id = '4bf92f3577b34da6a3ce929d0e0e4736';
    const headers = { traceparent: `00-${id}-00f067aa0ba902b7-01` };
    assert.equal((await post(AUTHORIZE, { ...ask, headers })).asked?.traceId, id);
  });

  for (const [name, given, seen] of [
    ['an absent body', undefined, { seen: null, size: null }],
    ['an empty body', '', { seen: '', size: 0 }],
    ['a body', Buffer.from('{"a":1}').toString('base64'), { seen: '{"a":1}', size: 7 }],
  ] as const) {
    it(`tells ${name} from the others`, async () => {
      const body = (await post(AUTHORIZE, { ...ask, ...(given === undefined ? {} : { body_base64: given }) }))
        .asked?.body;
      const text = body === undefined || body.seen === null ? null : Buffer.from(body.seen).toString();
      assert.deepEqual({ seen: text, size: body?.size, partial: body?.partial }, { ...seen, partial: false });
    });
  }

  for (const [name, payload, field] of [
    ['no target', { method: 'GET' }, 'url, or scheme, host and target'],
    ['two targets', { ...ask, host: 'other.example' }, 'host: says again'],
    ['a relative URL', { method: 'GET', url: '/v1' }, 'url: must be absolute'],
    ['another scheme', { method: 'GET', url: 'ftp://a.example/' }, 'url: must be absolute'],
    ['a URL with a user', { method: 'GET', url: 'https://u:p@a.example/' }, 'url: must have no user'],
    ['a body that is not base64', { ...ask, body_base64: '?' }, 'body_base64: must be'],
    ['a header name that is none', { ...ask, headers: { ':authority': 'x' } }, 'headers'],
    ['a header value with a line break', { ...ask, headers: { a: 'x\r\ny: z' } }, 'headers.a'],
  ] as const) {
    it(`refuses ${name}, and asks nothing`, async () => {
      const { status, body, asked } = await post(AUTHORIZE, payload);
      assert.equal(status, 400);
      assert.ok(String(body.message).includes(field), body.message);
      assert.equal(asked, undefined);
    });
  }

  it('answers an allow with what to do to the request', async () => {
    const { status, body } = await post(AUTHORIZE, ask);
    assert.equal(status, 200);
    assert.deepEqual(body, {
      success: true,
      decision: 'allow',
      reason: 'allowed',
      decision_id: DECISION_ID,
      observed: false,
      headers: {
        'x-lemma-subject': `did:lemma:ppid_${'0'.repeat(64)}`,
        'x-lemma-runtime-id': 'bot-1',
        'x-lemma-agent-id': 'bot',
        'x-lemma-workspace-id': 'main',
        'x-lemma-scope': 'documents.read',
        'x-lemma-decision-id': DECISION_ID,
      },
      headers_to_remove: ['x-lemma-credential'],
      response_headers_to_add: {},
    });
  });

  for (const [reason, http] of [
    ['scope_denied', 403],
    ['proof_expired', 401],
    ['replay_check_unavailable', 503],
    ['payload_too_large', 413],
    ['x_own', 403],
  ] as const) {
    it(`answers ${reason} with ${http} in the one shape`, async () => {
      const { status, body } = await post(AUTHORIZE, ask, denial({ reason }));
      const { message, request_id, ...rest } = body;
      assert.deepEqual([status, rest], [http, { success: false, error: reason, decision_id: DECISION_ID }]);
      assert.deepEqual([typeof message, typeof request_id], ['string', 'string']);
    });
  }

  it("gives a policy's own status and message", async () => {
    const result = {
      allow: false,
      reason: 'policy_denied',
      reasons: [],
      http_status: 451,
      message: 'not in your country',
    };
    const { status, body } = await post(AUTHORIZE, ask, denial({ reason: 'policy_denied', result }));
    assert.deepEqual([status, body.message], [451, 'not in your country']);
  });
});
