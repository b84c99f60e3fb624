import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { Ajv } from 'ajv';
import { type RunningEnvoy, SAMPLE_CONFIG, startEnvoy } from '../../tools/envoy/envoy.ts';
import { DOCUMENT } from '../support/envoy-attacks.ts';
import { denialOf, send } from '../support/envoy-client.ts';
import { lemmaConfig, needEnvoy, needPart, portOf } from '../support/envoy-scene.ts';
import { startUpstream, type Upstream } from '../support/envoy-upstream.ts';
import {
  crdSchemas,
  istioApi,
  istioFilters,
  type Manifest,
  type MeshConfig,
  manifests,
  meshConfig,
  type Provider,
  readByIstio,
} from '../support/istio.ts';
import { bearing, chain, keys, proving, request, SUBJECT, type WireRequest } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

const run = promisify(execFile);

describe('tools/istio, by Istio’s own schemas', () => {
  let schemas: Map<string, object>;
  let all: Manifest[];
  let config: MeshConfig;
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });

  before(async function () {
    this.timeout(180_000);
    schemas = await crdSchemas(await needPart(this, 'istio.io/api through Go', istioApi));
    all = [...(await manifests('lemma.yaml')), ...(await manifests('external.yaml'))];
    config = await meshConfig();
    // Builds the reader, once.
    await readByIstio(config);
  });

  const problemsOf = (manifest: Manifest) => {
    const schema = schemas.get(`${manifest.apiVersion} ${manifest.kind}`);
    if (schema === undefined) return 'no such kind';
    const check = ajv.compile(schema);
    return check(manifest) ? null : ajv.errorsText(check.errors);
  };
  const ofIstio = () => all.filter(({ apiVersion }) => apiVersion.includes('istio.io'));

  it('has policies, an authentication, a service entry and its rule', () => {
    deepEqual(
      ofIstio()
        .map(({ kind }) => kind)
        .sort(),
      ['AuthorizationPolicy', 'AuthorizationPolicy', 'DestinationRule', 'PeerAuthentication', 'ServiceEntry'],
    );
  });

  it('holds each to the published schema of its kind, closed', () => {
    deepEqual(
      ofIstio().map(problemsOf),
      ofIstio().map(() => null),
    );
  });

  it('would find a misspelt member, and a value that is none', () => {
    const [policy] = ofIstio();
    ok(policy);
    const spoiled = (spec: object) => problemsOf({ ...policy, spec: { ...policy.spec, ...spec } });
    match(String(spoiled({ providers: { name: 'lemma' } })), /must NOT have additional properties/);
    match(String(spoiled({ action: 'ASK' })), /must be equal to one of the allowed values/);
  });

  it('is a mesh configuration for Istio’s own types, which read what it says', async () => {
    const [provider] = (await readByIstio(config)).extensionProviders;
    // What is the default is left out.
    deepEqual(
      { failOpen: false, ...provider?.envoyExtAuthzGrpc },
      config.extensionProviders[0]?.envoyExtAuthzGrpc,
    );
  });

  it('would not be one with a misspelt member', async () => {
    const [provider] = config.extensionProviders;
    ok(provider);
    const grpc = { ...provider.envoyExtAuthzGrpc, fail_open_: false };
    await rejects(
      readByIstio({ ...config, extensionProviders: [{ ...provider, envoyExtAuthzGrpc: grpc }] }),
      /unknown field "fail_open_"/,
    );
  });
});

describe('tools/istio', () => {
  let all: Manifest[];
  let provider: Provider;
  let policy: Manifest;

  before(async () => {
    all = await manifests('lemma.yaml');
    const [first] = (await meshConfig()).extensionProviders;
    const custom = all.find(({ spec }) => spec.action === 'CUSTOM');
    ok(first !== undefined && custom !== undefined);
    provider = first;
    policy = custom;
  });

  it('has a policy that asks the provider about all requests', () => {
    deepEqual([policy.spec.provider, policy.spec.rules], [{ name: provider.name }, [{}]]);
  });

  it('has a provider that asks the service, and denies without it', async () => {
    const { service: host, port, failOpen, statusOnError } = provider.envoyExtAuthzGrpc;
    deepEqual([failOpen, statusOnError], [false, '403']);
    const named = (kind: string, from: readonly Manifest[]) => {
      const found = from.find((one) => one.kind === kind);
      ok(found);
      return found;
    };
    const { metadata, spec } = named('Service', all);
    equal(host, `${metadata.name}.${metadata.namespace}.svc.cluster.local`);
    deepEqual(
      (spec.ports as { port: number }[]).map((one) => one.port),
      [port],
    );
    const outside = named('ServiceEntry', await manifests('external.yaml'));
    deepEqual(
      (outside.spec.ports as { number: number }[]).map((one) => one.number),
      [port],
    );
  });

  describe('as the filters that Istio makes of it, in a real Envoy', () => {
    const stops: (() => unknown)[] = [];
    let binary: string;
    let sample: string;
    let upstream: Upstream;
    let lemma: Running;
    let envoy: RunningEnvoy;

    before(async function () {
      binary = await needEnvoy(this);
      const folder = mkdtempSync(join(tmpdir(), 'lemma-istio-'));
      stops.push(() => rmSync(folder, { recursive: true, force: true }));
      sample = join(folder, 'envoy.yaml');
      writeFileSync(
        sample,
        withFilters(await readFile(SAMPLE_CONFIG, 'utf8'), istioFilters(policy, provider)),
      );
      upstream = await startUpstream();
      stops.push(upstream.close);
      lemma = await running({ config: lemmaConfig(['127.0.0.1:0']) });
      stops.push(() => lemma.stop());
      const ports = { lemma: portOf(lemma), upstream: upstream.port };
      envoy = await startEnvoy(binary, ports, pathToFileURL(sample));
      stops.push(envoy.stop);
    });
    after(async () => {
      for (const stop of stops.splice(0).reverse()) await stop();
    });
    beforeEach(() => upstream.clear());

    /** The sample's own filter gives way to Istio's, and its cluster to Istio's name of it. */
    function withFilters(yaml: string, filters: readonly object[]): string {
      const from = yaml.indexOf('                  - name: envoy.filters.http.ext_authz');
      const to = yaml.indexOf('                  - name: envoy.filters.http.router');
      ok(from > 0 && to > from);
      const ours = filters.map((filter) => `                  - ${JSON.stringify(filter)}\n`).join('');
      const { service, port } = provider.envoyExtAuthzGrpc;
      return (
        (yaml.slice(0, from) + ours + yaml.slice(to))
          // Envoy as a child has no such file to open.
          .replace('path: /dev/stdout', 'path: /dev/null')
          .replace('- name: lemma\n', `- name: outbound|${port}||${service}\n`)
          .replace('cluster_name: lemma\n', `cluster_name: outbound|${port}||${service}\n`)
      );
    }

    const ask = (wire: WireRequest) => send(envoy.port, wire);
    const statusAndCode = async (wire: WireRequest) => {
      const answer = await ask(wire);
      return [answer.status, denialOf(answer).error];
    };

    it('is valid', async () => {
      const { stdout, stderr } = await run(binary, ['--mode', 'validate', '-c', sample]);
      match(stdout + stderr, /configuration '.*' OK/);
    });

    it('lets a proof through, and the upstream know who acts', async () => {
      equal((await ask(bearing(chain(), { headers: [['x-lemma-subject', 'spoofed']] }))).status, 200);
      deepEqual([upstream.lines('x-lemma-subject'), upstream.lines('x-lemma-credential')], [[SUBJECT], []]);
    });

    it('denies who has none, and what no route stands for', async () => {
      deepEqual(await statusAndCode(request()), [401, 'auth_required']);
      deepEqual(await statusAndCode(bearing(chain(), { path: '/v1/secrets' })), [403, 'route_unknown']);
      equal(upstream.seen.length, 0);
    });

    it('shows the body to Lemma: one that was swapped is denied', async () => {
      const write = () => proving(chain(), keys.runtime, { method: 'PUT', path: DOCUMENT, text: '{"a":1}' });
      equal((await ask(write())).status, 200);
      const swapped = { ...write(), body: Buffer.from('{"a":2}').toString('base64url') };
      deepEqual(await statusAndCode(swapped), [401, 'pop_body_mismatch']);
    });

    it('denies a credential that came twice', async () => {
      const wire = bearing(chain());
      deepEqual(await statusAndCode({ ...wire, headers: [...wire.headers, ...wire.headers] }), [
        403,
        'header_ambiguous',
      ]);
    });

    it('denies the very next request after a kill', async () => {
      const wire = bearing(chain({ runtime: { claims: { runtime_id: 'killed-tcp' } } }));
      equal((await ask(wire)).status, 200);
      await lemma.control('/api/wallet/runtimes/killed-tcp/kill', {});
      deepEqual(await statusAndCode(wire), [403, 'runtime_killed']);
    });

    describe('without Lemma', () => {
      it('lets nothing through', async () => {
        await lemma.stop();
        lemma = { ...lemma, stop: async () => undefined };
        equal((await ask(bearing(chain()))).status, 403);
        equal(upstream.seen.length, 0);
      });
    });
  });
});
