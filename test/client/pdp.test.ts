import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Credential, createLemmaFetch, generateKey, LemmaDenied } from '../../src/client/index.ts';
import type { PdpPlace, ProtectOptions } from '../../src/client/options.ts';
import { protect } from '../../src/client/protect.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { NOW } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';
import { FRAMEWORKS, type Served } from './apps.ts';

const clock = () => NOW * 1000;

function routesFor(origin: string) {
  const common = { host: '127.0.0.1', path: '/v1/documents/{id}', api: 'documents', audience: origin };
  return [
    {
      ...common,
      id: 'documents.read',
      action: 'documents.read',
      methods: ['GET'],
      scope: ['documents.read'],
    },
    {
      ...{ ...common, id: 'documents.write', action: 'documents.write', methods: ['PUT', 'POST'] },
      ...{ scope: ['documents.write'], risk: 'high', body: 'digest' },
    },
  ].map((route) => ({ risk: 'low', body: 'none', taint_on_response: false, ...route }));
}

const PROTOCOLS: Record<string, Partial<PdpPlace>> = {
  check: {},
  authzen: {
    protocol: 'authzen',
    action: ({ method }) => (method === 'GET' ? 'documents.read' : 'documents.write'),
  },
};

const denying = (reason: string, status: number) => (error: unknown) => {
  assert.ok(error instanceof LemmaDenied, String(error));
  assert.deepEqual([error.reason, error.status], [reason, status]);
  assert.match(error.decision_id ?? '', /^dec_/);
  return true;
};

for (const [protocol, place] of Object.entries(PROTOCOLS)) {
  for (const name of ['Express 5', 'Fastify 5']) {
    describe(`${name}, asking a PDP by ${protocol}`, () => {
      let service: Running;
      let served: Served;
      let serial = 0;
      before(async () => {
        service = await running();
        const url = `http://${service.app.addresses.decision}`;
        served = (await (FRAMEWORKS[name] ?? FRAMEWORKS['Express 5'])?.({
          options: () => ({ pdp: { url, ...place }, scheme: 'http' }),
        })) as Served;
        await service.reload({ routes: routesFor(served.origin) });
      });
      after(async () => {
        await served?.close();
        await service?.stop();
      });

      async function agent(scope = ['documents.*']) {
        serial += 1;
        const runtime_id = `asking-${serial}`;
        const key = await generateKey();
        const about = { runtime_id, agent_id: 'agent', workspace_id: 'prod' };
        await service.control('/api/wallet/runtimes/bootstrap', about);
        const terms = { runtime_id, key: toBase64url(key.publicKey), scope, audience: [served.origin] };
        const { body } = await service.control('/api/wallet/runtimes/issue-proof', terms);
        const credential = body.credential as Credential;
        return { runtime_id, lemmaFetch: createLemmaFetch({ credential, key, clock }) };
      }
      const url = (path = '/v1/documents/42') => served.origin + path;
      const put = { method: 'PUT', body: '{"a":1}', headers: { 'content-type': 'application/json' } };

      it('lets through what it allows, with who it is and the decision', async () => {
        const { lemmaFetch, runtime_id } = await agent();
        const told = (await (await lemmaFetch(url(), put)).json()) as {
          lemma: { actor: Record<string, unknown>; decision_id: string };
          body: unknown;
        };
        assert.deepEqual(told.body, { a: 1 });
        assert.deepEqual(told.lemma.actor, {
          ...{ subject: lemmaFetch.credential.subject, runtime_id, agent_id: 'agent' },
          ...{ workspace_id: 'prod', run_id: null, scope: ['documents.*'] },
        });
        const { input } = await service.explain(told.lemma.decision_id).then(({ record }) => record);
        assert.equal((input as { route: { id: string } }).route.id, 'documents.write');
      });

      it('refuses what it denies: the next request after a kill', async () => {
        const { lemmaFetch, runtime_id } = await agent();
        assert.equal((await lemmaFetch(url())).status, 200);
        await service.control(`/api/wallet/runtimes/${runtime_id}/kill`, {});
        const handled = served.handled();
        await assert.rejects(lemmaFetch(url()), denying('runtime_killed', 403));
        assert.equal(served.handled(), handled);
      });

      it('refuses a scope that the proof lacks', async () => {
        const { lemmaFetch } = await agent(['documents.read']);
        await assert.rejects(lemmaFetch(url(), put), denying('scope_denied', 403));
      });

      it('refuses what shows nothing', async () => {
        const response = await fetch(url());
        assert.equal(response.status, 401);
        assert.equal(((await response.json()) as { error: string }).error, 'auth_required');
      });
    });
  }
}

describe('a PDP that gives no decision', () => {
  const request = { rawHeaders: ['Host', 'api', 'X-Lemma-Credential', 'e30'], headers: { host: 'api' } };
  const raw = { method: 'GET', httpVersion: '1.1', httpVersionMajor: 1, socket: {}, ...request };

  async function verdictOf(options: ProtectOptions) {
    const asked = { raw: raw as never, target: '/', scope: [], requestId: '1' };
    return protect(options).decide(asked);
  }

  async function answering(status: number, body: string) {
    const server = createServer((_, response) => response.writeHead(status).end(body));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      return await verdictOf({ pdp: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  const odd: readonly (readonly [number, string])[] = [
    [500, '{"okResponse":{}}'],
    [204, ''],
    [200, ''],
    [200, '{}'],
    [200, '[]'],
    [200, '{"status":{"code":0}}'],
    [200, '{"status":{"code":7},"okResponse":{}}'],
    [200, '{"okResponse":{},"deniedResponse":{}}'],
    [200, '{"okResponse":true}'],
    [302, '{"okResponse":{}}'],
  ];
  for (const [status, body] of odd) {
    it(`answers ${status} ${body}: nothing passes`, async () => {
      const verdict = await answering(status, body);
      assert.ok(!verdict.allowed);
      assert.deepEqual([verdict.status, verdict.answer.error], [503, 'state_not_ready']);
    });
  }

  it('is not there: nothing passes', async () => {
    const verdict = await verdictOf({ pdp: { url: 'http://127.0.0.1:9' } });
    assert.equal(verdict.allowed, false);
  });

  it('does not answer in time: nothing passes', async () => {
    const never = ((_: unknown, init: RequestInit) =>
      new Promise((_resolve, reject) => {
        init.signal?.addEventListener('abort', () => reject(init.signal?.reason));
      })) as typeof fetch;
    const verdict = await verdictOf({ pdp: { url: 'http://127.0.0.1:9', fetch: never, timeout_ms: 1 } });
    assert.equal(verdict.allowed, false);
  });

  const wrong: readonly (readonly [PdpPlace, RegExp])[] = [
    [{ url: 'http://127.0.0.1:8181/check' }, /^pdp\.url: must be an origin/],
    [{ url: 'pdp' }, /^pdp\.url: must be an origin/],
    [{ url: 'http://pdp.example.com' }, /^pdp\.url: must be https/],
    [{ url: 'http://127.0.0.1:8181', protocol: 'authzen' }, /^pdp\.action: /],
  ];
  for (const [pdp, problem] of wrong) {
    it(`is named wrongly: ${JSON.stringify(pdp)}`, () => {
      assert.throws(() => protect({ pdp }), { message: problem });
    });
  }
});
