import assert from 'node:assert/strict';
import { Ajv, type AnySchema } from 'ajv';
import { buildRouteMap } from '../../src/request/route-map.ts';
import { DEVICE_GRANT } from '../../src/schema/api-access.ts';
import { CONSOLE_ROUTES } from '../../src/server/console-api.ts';
import { decisionApp } from '../../src/server/decision-api.ts';
import { openApi } from '../../src/server/openapi.ts';
import { OPERATIONS, type Operation, routePath } from '../../src/server/operations.ts';
import { newKey, RUNTIME } from '../authority/support.ts';
import { person, signIn } from './people.ts';
import { AUTH, controlWorld, memoryLog, scripted } from './support.ts';

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Described>>;
  readonly components: { readonly schemas: Record<string, AnySchema> };
}
interface Described {
  readonly operationId: string;
  readonly tags: string[];
  readonly security: object[];
  readonly parameters?: {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly schema: AnySchema;
  }[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: AnySchema }> };
  readonly responses: Record<string, { readonly content: Record<string, { readonly schema: AnySchema }> }>;
}

const document = openApi('1.2.3') as unknown as Document;
const ajv = new Ajv({
  strict: true,
  strictTypes: false,
  strictRequired: false,
  formats: { 'date-time': true },
});
ajv.addSchema(document.components.schemas.Error ?? {}, 'Error');
const all = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, described]) => ({ path, method, described })),
);
/** A reference is meant within the document; here the schema that it names stands alone. */
const compile = (schema: AnySchema) =>
  ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('#/components/schemas/', '')));

describe('the OpenAPI document', () => {
  it('has one operation for each of the table', () => {
    assert.deepEqual(
      all.map(({ described }) => described.operationId).sort(),
      Object.keys(OPERATIONS).sort(),
    );
  });

  for (const { path, method, described } of all) {
    it(`has schemas that compile for ${method} ${path}`, () => {
      const contents = [described.requestBody, ...Object.values(described.responses)].flatMap((part) =>
        Object.values(part?.content ?? {}),
      );
      const schemas = [...contents, ...(described.parameters ?? [])].map(({ schema }) => schema);
      for (const schema of schemas) compile(schema);
      assert.ok(schemas.length > 0);
    });

    it(`describes the parameters of ${method} ${path}`, () => {
      const named = (described.parameters ?? [])
        .filter((p) => p.in === 'path')
        .map((p) => [p.name, p.required]);
      assert.deepEqual(
        named,
        [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, true]),
      );
    });
  }

  it('asks for the key on everything of the control plane but what is open', () => {
    const open = all.filter(({ described }) => described.security.length === 0).map(({ path }) => path);
    assert.deepEqual(open.sort(), [
      '/.well-known/authzen-configuration',
      '/access/v1/evaluation',
      '/access/v1/evaluations',
      '/api/auth/device/code',
      '/api/auth/device/token',
      '/api/auth/exchange-proof',
      '/api/wallet/session',
      '/api/wallet/session/challenge',
      '/docs',
      '/docs/{page}',
      '/envoy.service.auth.v3.Authorization/Check',
      '/forward-auth/{proxy}',
      '/healthz',
      '/metrics',
      '/openapi',
      '/openapi.json',
      '/readyz',
    ]);
  });

  describe('against what is served', () => {
    let control: Awaited<ReturnType<typeof controlWorld>>;
    let decision: ReturnType<typeof decisionApp>;
    beforeEach(async () => {
      control = await controlWorld();
      decision = decisionApp({
        decide: scripted().decide,
        exchange: () => Promise.reject(new Error('not asked for')),
        authzen: { routes: () => buildRouteMap([]), authenticate: null },
        ready: () => true,
        log: memoryLog().log,
      });
    });
    afterEach(() => Promise.all([control.close(), decision.close()]));

    for (const listener of ['control', 'decision'] as const) {
      it(`has every route of the ${listener} listener, and no other`, async () => {
        const app = listener === 'control' ? control.app : decision;
        await app.ready();
        const described = Object.values<Operation>(OPERATIONS).filter(({ on }) => on.includes(listener));
        for (const { path, method } of described) {
          assert.ok(app.hasRoute({ method, url: routePath({ path }) }), `${method} ${path}`);
        }
        const printed = app.printRoutes({ commonPrefix: false });
        const routed = [...printed.matchAll(/\(([A-Z, -]+)\)/g)].flatMap(([, list = '']) => {
          const methods = list.split(', ');
          return methods.length === app.supportedMethods.length ? ['any'] : methods;
        });
        const pages = listener === 'control' ? CONSOLE_ROUTES : [];
        assert.equal(
          routed.filter((method) => method !== 'HEAD').length,
          described.length + pages.length,
          printed,
        );
      });
    }

    it('describes what is answered', async () => {
      const check = async (method: 'GET' | 'POST' | 'PUT', path: string, payload?: object) => {
        const url = path.replace('{id}', 'bot-1').replace('{level}', 'org');
        const response = await control.app.inject({
          method,
          url,
          headers: { ...AUTH, host: 'localhost:8080' },
          ...(payload && { payload }),
        });
        const described =
          document.paths[path]?.[method.toLowerCase()]?.responses[String(response.statusCode)];
        const schema = described?.content['application/json']?.schema;
        assert.ok(schema !== undefined, `${method} ${path} answered ${response.statusCode}`);
        const validate = compile(schema);
        assert.ok(validate(response.json()), JSON.stringify(validate.errors));
      };
      const base = '/api/wallet/runtimes';
      const audience = ['https://api.example.com'];
      const proof = { runtime_id: 'bot-1', key: newKey(), scope: ['documents.read'], audience };
      await check('POST', `${base}/bootstrap`, RUNTIME);
      await check('GET', `${base}/alerts/summary`);
      await check('GET', '/api/agent/monitor/summary');
      await check('POST', `${base}/bootstrap`, { ...RUNTIME, agent_id: 'other' });
      await check('POST', `${base}/issue-proof`, proof);
      await check('GET', base);
      await check('POST', `${base}/{id}/authorize`, { method: 'GET', url: 'https://a.example/' });
      await check('POST', `${base}/{id}/revoke`, { key: newKey() });
      await check('GET', `${base}/{id}`);
      await check('POST', `${base}/join-tokens`, {
        ...RUNTIME,
        proof: { scope: ['documents.read'], audience },
      });
      await check('POST', `${base}/{id}/taint`, { reason: 'a page said so' });
      await check('POST', `${base}/{id}/approve`, { taint_epoch: 1 });
      await check('POST', `${base}/{id}/approve`, { taint_epoch: 0 });
      await check('POST', `${base}/{id}/contain`);
      await check('POST', `${base}/{id}/resume`);
      await check('POST', `${base}/{id}/kill`);
      await check('POST', `${base}/issue-proof`, proof);
      await check('POST', `${base}/{id}/reactivate`, { taint_epoch: 1, reason: 'a false alarm' });
      await check('GET', `${base}/{id}`);
      await check('POST', `${base}/kill`, { key: newKey() });
      await check('GET', '/api/wallet/settings/{level}');
      await check('PUT', '/api/wallet/settings/{level}', { settings: { default_ttl_s: 60 }, version: 0 });
      await check('PUT', '/api/wallet/settings/{level}', { settings: {}, version: 0 });
      await check('GET', '/api/wallet/policies/history');
      await check('POST', '/api/wallet/policies/activate', { bundles: ['0'.repeat(64)] });
      await check('POST', '/api/wallet/policies/rollback', { profile: 'low' });
      await check('GET', `${base}/decisions`);
      await check('GET', '/readyz');
      await check('GET', '/openapi.json');
      const api = '/api/wallet';
      const { subject, key: siteKey } = person('alice');
      const operator = { name: 'Alice', subject, keys: [siteKey], role: 'auditor' };
      await check('POST', `${api}/operators`, operator);
      await check('POST', `${api}/operators`, operator);
      await check('GET', `${api}/operators`);
      await check('POST', `${api}/api-keys`, { name: 'ci', permissions: ['runtimes.read'] });
      await check('GET', `${api}/api-keys`);
      await check('POST', `${api}/session/challenge`);
      await check('POST', `${api}/session`, {});
      await check('GET', `${api}/session`);
      await check('POST', `${api}/session/sign-out`);
      await signIn(control.app, person('alice'));
      await check('GET', `${api}/sessions`);
      await check('GET', `${api}/audit`);
      await check('POST', '/api/auth/device/code', { client_id: 'cli' });
      await check('POST', '/api/auth/device/token', {
        client_id: 'cli',
        grant_type: DEVICE_GRANT,
        device_code: 'x',
      });
      await check('POST', '/api/auth/device/deny', { user_code: 'BCDF-GHJK' });
    });
  });
});
