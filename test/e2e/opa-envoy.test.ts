import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { EMBEDDED_PINS } from '../../src/policy/pins.ts';
import { writeTar } from '../../src/policy/tar.ts';
import type { CheckResponseMessage } from '../../src/schema/check.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import { type RunningEnvoy, startEnvoy } from '../../tools/envoy/envoy.ts';
import { PATIENT_MS } from '../policy/compiler/support.ts';
import { ENTRYPOINT, manifest, PEOPLE } from '../policy/opa-envoy-policies.ts';
import { buildStock, OPA_KEYS } from '../policy/stock-opa.ts';
import { send } from '../support/envoy-client.ts';
import { headerOf, lemmaConfig, needEnvoy, portOf, recordsOf } from '../support/envoy-scene.ts';
import { startUpstream, type Upstream } from '../support/envoy-upstream.ts';
import { bearing, chain, request, type WireRequest } from '../support/kit.ts';
import { opaFolder } from '../support/opa.ts';
import { type Running, running, vectors } from '../support/running.ts';

const PEM = OPA_KEYS.ES256.publicKey.export({ type: 'spki', format: 'pem' }).toString();

/** Allows one tenant, and says so; everybody else finds nothing. */
const TENANT = `package envoy.authz

import input.attributes.request.http

allow := answer

answer := {"allowed": true, "headers": {"x-seen": http.path}, "dynamic_metadata": {"by": "authz", "reason": "mine"}} if {
	http.headers["x-tenant"] == "acme"
} else := {"allowed": false, "http_status": 404, "body": json.marshal({"error": "nothing_here"}), "headers": {"x-why": "tenant"}}
`;

const BODY = '{"error":"nothing_here"}';

const EVERYTHING = 'package envoy.authz\n\nallow := yes\n\nyes := true\n';

/** Its texts. */
function metadataOf({ dynamic_metadata: { fields } }: CheckResponseMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) =>
      'stringValue' in value ? [[name, value.stringValue]] : [],
    ),
  );
}

describe('a policy of opa-envoy-plugin in a service', function () {
  this.timeout(PATIENT_MS);
  const opa = opaFolder();
  let folder: string;
  let service: Running;
  let serial = 100;

  const start = async () => {
    const bundles = { opa_keys: { default: { algorithm: 'ES256', key: PEM } } };
    service = await running({ folder, config: { ...lemmaConfig(['127.0.0.1:0']), bundles } });
  };
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-opa-envoy-'));
    await start();
  });
  after(async () => {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function put(rego: string, more: object = {}): Promise<void> {
    const files = await buildStock(opa, {
      files: { '.manifest': manifest({ serial: ++serial, ...more }), 'authz.rego': rego },
      entrypoints: [ENTRYPOINT],
      revision: `authz-${serial}`,
    });
    const bundle_base64 = Buffer.from(gzipSync(writeTar(files))).toString('base64');
    const published = await service.control('/api/wallet/policies/publish', { bundle_base64 });
    assert.equal(published.status, 200, JSON.stringify(published.body));
    const bundles = [(published.body.bundle as { sha256: string }).sha256];
    assert.equal((await service.control('/api/wallet/policies/activate', { bundles })).status, 200);
  }
  const withHeaders = (wire: WireRequest, ...more: [string, string][]): WireRequest => ({
    ...wire,
    headers: [...wire.headers, ...more],
  });
  const recordOf = async (id: string): Promise<DecisionRecord> => {
    const record = (await recordsOf(service)).get(id);
    assert.ok(record !== undefined);
    return record;
  };

  describe('that is a boolean', () => {
    before(() => put(PEOPLE));

    it('gets what opa-envoy-plugin gave it, beside what the host verified', async () => {
      const wire = withHeaders(
        bearing(chain(), { path: '/v1/documents/a%5Bb?lang=en&id=1&id=2' }),
        ['x-tenant', 'acme'],
        ['accept', 'text/html'],
      );
      const { decisionId } = await service.grpc(wire, { where: 'edge' });
      const { input } = await recordOf(decisionId);
      const { subject, proof, attributes, parsed_path, parsed_query, parsed_body, truncated_body, version } =
        input as unknown as Record<string, Record<string, unknown>>;
      const path = '/v1/documents/a%5Bb?lang=en&id=1&id=2';
      assert.deepEqual(
        { attributes, parsed_path, parsed_query, parsed_body, truncated_body, version },
        {
          attributes: {
            source: {},
            request: {
              time: new Date(input?.now ?? 0).toISOString(),
              http: {
                method: 'GET',
                headers: {
                  ':authority': 'api.example.com',
                  ':method': 'GET',
                  ':path': path,
                  ':scheme': 'https',
                  'x-tenant': 'acme',
                },
                path,
                host: 'api.example.com',
                scheme: 'https',
                protocol: 'HTTP/1.1',
              },
            },
            contextExtensions: { where: 'edge' },
          },
          parsed_path: ['v1', 'documents', 'a[b'],
          parsed_query: { lang: ['en'], id: ['1', '2'] },
          parsed_body: null,
          truncated_body: false,
          version: { ext_authz: 'v3', encoding: 'protojson' },
        },
      );
      assert.deepEqual([subject?.via, Object.keys(proof?.links ?? [])], ['credential', ['0', '1', '2']]);
    });

    it('sees no credential, whatever it lists', async () => {
      await put(PEOPLE, { headers: ['authorization', 'cookie', 'x-lemma-credential', 'x-tenant'] });
      const wire = withHeaders(bearing(chain()), ['cookie', 'session=secret-one']);
      const { decisionId } = await service.grpc(wire);
      const { input } = await recordOf(decisionId);
      const text = JSON.stringify(input);
      const credential = wire.headers.find(([name]) => name === 'x-lemma-credential')?.[1] ?? '';
      assert.deepEqual(
        [text.includes('secret-one'), text.includes(credential), /"(?:authorization|cookie)"/.test(text)],
        [false, false, false],
      );
    });

    it('sees no query that is taken out', async () => {
      await put(PEOPLE, { redact: ['query.token'] });
      const { decisionId } = await service.grpc(
        bearing(chain(), { path: '/v1/documents/42?token=secret-two&lang=en' }),
      );
      const { input } = await recordOf(decisionId);
      const text = JSON.stringify(input);
      assert.deepEqual(
        [text.includes('secret-two'), text.includes('/v1/documents/42?lang=en')],
        [false, true],
      );
    });

    it('decides, and explains equal', async () => {
      const { verdict, decisionId } = await service.grpc(bearing(chain()));
      await recordOf(decisionId);
      const { evaluated_again, bundle } = await service.explain(decisionId);
      assert.deepEqual([verdict, evaluated_again?.equal], ['allow', true]);
      assert.match(bundle?.revision ?? '', /^authz-/);
    });
  });

  describe('that is an object', () => {
    before(() => put(TENANT));

    it('tells the upstream what it wants, and nothing in the place of what Lemma says', async () => {
      const { verdict, response } = await service.grpc(withHeaders(bearing(chain()), ['x-tenant', 'acme']));
      assert.ok('ok_response' in response);
      const headers = new Map(response.ok_response.headers.map(({ header }) => [header.key, header.value]));
      assert.deepEqual([verdict, headers.get('x-seen')], ['allow', '/v1/documents/42']);
      const { by, reason } = metadataOf(response);
      assert.deepEqual([by, reason], ['authz', 'allowed']);
    });

    it('tells the client what it wants, as policy_denied in the record, and explains equal', async () => {
      const { verdict, http, grpc, response } = await service.grpc(bearing(chain()));
      assert.ok('denied_response' in response);
      const decisionId = String(metadataOf(response).decision_id);
      const { body, headers } = response.denied_response;
      const why = headers.find(({ header }) => header.key === 'x-why')?.header.value;
      assert.deepEqual([verdict, http, grpc, body, why], ['nothing_here', 404, 7, BODY, 'tenant']);
      assert.equal((await recordOf(decisionId)).reason, 'policy_denied');
      assert.equal((await service.explain(decisionId)).evaluated_again?.equal, true);
    });
  });

  describe('that allows everything', () => {
    before(() => put(EVERYTHING));

    const vector = (name: string): WireRequest => {
      const found = vectors.cases.find((one) => one.name === name);
      assert.ok(found !== undefined);
      return found.request;
    };

    it("allows nothing that the profile's own policy denies, whose rule is shown, and explains equal", async () => {
      const { verdict, decisionId } = await service.grpc(vector('policy/taint-ahead'));
      const { bundle, result } = await recordOf(decisionId);
      const { evaluated_again, rules, bundle: explained } = await service.explain(decisionId);
      assert.deepEqual(
        [verdict, bundle?.base, result?.reasons, evaluated_again?.equal, rules.map(({ file }) => file)],
        ['taint_ahead', EMBEDDED_PINS.low, ['taint_ahead'], true, ['lemma/low/decision.rego']],
      );
      assert.ok(explained?.rego?.['lemma/low/decision.rego'] !== undefined);
    });

    it('explains equal after a restart', async () => {
      const { decisionId } = await service.grpc(bearing(chain()));
      await recordOf(decisionId);
      await service.stop();
      await start();
      assert.equal((await service.explain(decisionId)).evaluated_again?.equal, true);
      assert.equal((await service.grpc(bearing(chain()))).verdict, 'allow');
    });

    it('is not asked for a trace, as it alone did not decide', async () => {
      const { decisionId } = await service.grpc(bearing(chain()));
      await recordOf(decisionId);
      assert.match((await service.explain(decisionId, 'full')).trace?.error ?? '', /behind an adapter/);
    });

    it('is not served to stock OPA', async () => {
      assert.equal((await service.control('/bundles/low')).status, 409);
    });

    it('is not asked without a credential', async () => {
      assert.equal((await service.grpc(request())).verdict, 'auth_required');
    });

    it('is not asked for a runtime that was killed', async () => {
      const killed = bearing(chain({ runtime: { claims: { runtime_id: 'killed-tcp' } } }));
      assert.equal((await service.grpc(killed)).verdict, 'allow');
      await service.control('/api/wallet/runtimes/killed-tcp/kill', { reason: 'test' });
      assert.equal((await service.grpc(killed)).verdict, 'runtime_killed');
    });

    it('is not asked beyond the scope of the proof', async () => {
      const narrow = chain({ runtime: { scope: ['documents.other'] } });
      assert.notEqual((await service.grpc(bearing(narrow))).verdict, 'allow');
    });
  });

  describe('behind a real Envoy', () => {
    let upstream: Upstream | undefined;
    let envoy: RunningEnvoy | undefined;

    before(async function () {
      const binary = await needEnvoy(this);
      upstream = await startUpstream();
      envoy = await startEnvoy(binary, { lemma: portOf(service), upstream: upstream.port });
      await put(TENANT);
    });
    after(async () => {
      await envoy?.stop();
      await upstream?.close();
    });
    const ask = (wire: WireRequest) => send(envoy?.port ?? 0, wire);

    it('lets through what it allows, with its header', async () => {
      const { status } = await ask(withHeaders(bearing(chain()), ['x-tenant', 'acme']));
      assert.deepEqual([status, headerOf(upstream?.seen.at(-1), 'x-seen')], [200, '/v1/documents/42']);
    });

    it('answers what it denies with its status, header and body', async () => {
      const { status, headers, body } = await ask(bearing(chain()));
      assert.deepEqual([status, headers['x-why'], body.toString()], [404, 'tenant', BODY]);
    });
  });
});
