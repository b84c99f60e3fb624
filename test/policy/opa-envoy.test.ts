import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { publicKeyOf } from '#runtime';
import { runImpact } from '../../src/pdp/impact/run.ts';
import { judged } from '../../src/pdp/replay.ts';
import { type Bundle, bundleOf } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine, type Engine } from '../../src/policy/engine.ts';
import { EMBEDDED_PINS } from '../../src/policy/pins.ts';
import { checkTrust, PolicyRegistry, type Trust } from '../../src/policy/registry.ts';
import { signBundle } from '../../src/policy/signature.ts';
import type { PolicyInput } from '../../src/schema/input.ts';
import { opaEnvoyInputSchema } from '../../src/schema/opa-envoy-input.ts';
import { inChunks, recordedLine } from '../pdp/impact/recorded.ts';
import { opaFolder } from '../support/opa.ts';
import { PATIENT_MS } from './compiler/support.ts';
import { ENTRYPOINT, manifest, OBJECT, PEOPLE } from './opa-envoy-policies.ts';
import { buildStock, trusting } from './stock-opa.ts';
import { allowedInput, bytes, denial, inputError, memoryArchive, merged } from './support.ts';

const TRUST: Trust = { kind: 'signed', keys: [], opaKeys: trusting('ES256'), now: 0 };

const VIEW = {
  attributes: {
    source: { address: { socketAddress: { address: '127.0.0.9' } } },
    request: {
      time: '2026-11-26T08:00:00.000Z',
      http: {
        method: 'GET',
        headers: { ':method': 'GET', 'x-tenant': 'acme' },
        path: '/v1/documents/a%20b?lang=en&id=1&id=2',
        host: 'api.example.com',
        scheme: 'https',
        protocol: 'HTTP/1.1',
      },
    },
    contextExtensions: { where: 'edge' },
  },
  parsed_path: ['v1', 'documents', 'a b'],
  parsed_query: { lang: ['en'], id: ['1', '2'] },
  parsed_body: null,
  truncated_body: false,
  version: { ext_authz: 'v3', encoding: 'protojson' },
};

describe("a policy of opa-envoy-plugin's", function () {
  this.timeout(PATIENT_MS);
  const opa = opaFolder();
  const input = (change: object = {}) => merged({ ...allowedInput('low'), ...VIEW }, { ...change });

  const build = async (rego: string, more: object = {}, entrypoint = ENTRYPOINT): Promise<Bundle> =>
    bundleOf(
      await buildStock(opa, {
        files: { '.manifest': manifest(more), 'authz.rego': rego },
        entrypoints: [entrypoint],
      }),
    );
  const refuses = async (rego: string, message: RegExp, more: object = {}) => {
    const bundle = await build(rego, more);
    assert.throws(() => checkTrust(bundle, TRUST), denial('bundle_rejected', message));
  };
  /** A policy that answers what it is told. */
  let told: Engine;
  const answers = (answer: unknown) => told.evaluate(bytes(input({ parsed_body: { answer } }))).result;

  before(async () => {
    told = await compileEngine(
      await build('package envoy.authz\n\nimport rego.v1\n\nallow := input.parsed_body.answer\n'),
    );
  });

  it('decides for the profile that its manifest names', async () => {
    const bundle = await build(PEOPLE, { profile: 'high' });
    assert.deepEqual([bundle.name, bundle.entrypoint, bundle.serial], ['high', ENTRYPOINT, 100]);
  });

  it('is believed by its signature', async () => {
    const bundle = await build(PEOPLE);
    assert.doesNotThrow(() => checkTrust(bundle, TRUST));
  });

  const cases: readonly [policy: string, rego: string, change: object][] = [
    ['a boolean', PEOPLE, {}],
    ['a boolean', PEOPLE, { attributes: { request: { http: { path: '/v1/documents/a/b' } } } }],
    ['a boolean', PEOPLE, { proof: { scope: [] } }],
    [
      'a boolean',
      PEOPLE,
      {
        attributes: { request: { http: { method: 'PUT' } } },
        proof: { scope: ['documents.write'] },
        parsed_body: { firstname: 'Charlie' },
      },
    ],
    ['an object', OBJECT, {}],
    ['an object', OBJECT, { truncated_body: true }],
    ['an object', OBJECT, { attributes: { request: { http: { headers: { 'x-tenant': 'other' } } } } }],
  ];
  for (const [i, [policy, rego, change]] of cases.entries()) {
    it(`allows what stock \`opa eval\` allows, with ${policy} (${i + 1})`, async () => {
      const engine = await compileEngine(await build(rego));
      await writeFile(join(opa.path, 'authz.rego'), rego);
      await writeFile(join(opa.path, 'input.json'), JSON.stringify(input(change)));
      const { out } = await opa.run(
        'eval',
        '-d',
        'authz.rego',
        '-i',
        'input.json',
        '-f',
        'raw',
        'data.envoy.authz.allow',
      );
      const plain = JSON.parse(out) as boolean | { allowed: boolean };
      const { allow } = engine.evaluate(bytes(input(change))).result;
      assert.equal(allow, typeof plain === 'boolean' ? plain : plain.allowed);
    });
  }

  it('allows and denies by a boolean', () => {
    assert.deepEqual(answers(true), { allow: true, reason: 'allowed', reasons: [] });
    assert.deepEqual(answers(false), { allow: false, reason: 'policy_denied', reasons: ['policy_denied'] });
  });

  it('tells the upstream and its answer what it wants, where it allows', async () => {
    const { result } = (await compileEngine(await build(OBJECT))).evaluate(bytes(input()));
    assert.deepEqual(result, {
      allow: true,
      reason: 'allowed',
      reasons: [],
      headers: { 'x-ext-auth-allow': 'yes, indeed' },
      response_headers_to_add: { 'x-foo': 'bar' },
      request_headers_to_remove: ['x-one', 'X-Other'],
      dynamic_metadata: { foo: ['bar', 1] },
    });
  });

  it('tells the client what it wants, where it denies', async () => {
    const { result } = (await compileEngine(await build(OBJECT))).evaluate(
      bytes(input({ truncated_body: true })),
    );
    assert.deepEqual(result, {
      allow: false,
      reason: 'policy_denied',
      reasons: ['policy_denied'],
      http_status: 401,
      headers: { 'www-authenticate': 'Lemma', 'x-reason': 'closed, ask' },
      body: 'closed',
      dynamic_metadata: { by: 'authz' },
    });
  });

  it('denies with a status that is a denial: a redirect is none', () => {
    assert.equal(answers({ allowed: false, http_status: 302 }).http_status, undefined);
    assert.equal(answers({ allowed: false, http_status: 200 }).http_status, undefined);
    assert.equal(answers({ allowed: false, http_status: 404 }).http_status, 404);
  });

  const wrong: readonly [what: string, answer: unknown, message: RegExp][] = [
    ['a text', 'yes', /must be a boolean, or an object/],
    ['null', null, /must be a boolean, or an object/],
    ['an object without "allowed"', {}, /"allowed" must be a boolean/],
    ['an "allowed" that is none', { allowed: 'true' }, /"allowed" must be a boolean/],
    ['another query', { allowed: true, query_parameters_to_set: { a: 'b' } }, /query that was decided about/],
    [
      'less of the query',
      { allowed: true, query_parameters_to_remove: ['a'] },
      /query that was decided about/,
    ],
    ['a status under the name of the docs', { allowed: false, status_code: 401 }, /called http_status/],
    ['a member that nobody knows', { allowed: true, allow: false }, /member "allow", which is not honoured/],
    ['a status that is none', { allowed: false, http_status: 1000 }, /http_status/],
    ['a status that is a text', { allowed: false, http_status: '401' }, /"http_status" must be a number/],
    [
      'a header of ours',
      { allowed: true, headers: { 'X-Lemma-Subject': 'root' } },
      /may not set "x-lemma-subject"/,
    ],
    ['a header of the connection', { allowed: true, headers: { host: 'b' } }, /may not set "host"/],
    [
      'the removal of ours',
      { allowed: true, request_headers_to_remove: ['x-lemma-scope'] },
      /may not remove/,
    ],
    ['a header with a line feed', { allowed: true, headers: { a: 'b\nc' } }, /CR, LF or NUL/],
    ['a header that is no text', { allowed: true, headers: { a: 1 } }, /the value of "a"/],
    [
      'two cookies in one',
      { allowed: true, response_headers_to_add: { 'set-cookie': ['a=1', 'b=2'] } },
      /set-cookie/,
    ],
  ];
  for (const [what, answer, message] of wrong) {
    it(`fails, which denies, with ${what}`, () => {
      assert.throws(() => answers(answer), denial('policy_error', message));
    });
  }
  it('fails, which denies, where it is undefined', () => {
    assert.throws(
      () => told.evaluate(bytes(input({ parsed_body: {} }))),
      denial('policy_error', /undefined/),
    );
  });

  const ruled = (body: string, imports = '') =>
    `package envoy.authz\n\n${imports}\n\ndefault allow := false\n\nallow if yes\n\nyes if {\n\t${body}\n}\n`;
  const HTTP = 'import input.attributes.request.http';
  const reads: readonly [what: string, rego: string, message: RegExp][] = [
    [
      'the credential, by its own name',
      ruled('input.attributes.request.http.headers.authorization == "a"'),
      /authz\.rego:6: reads the header "authorization"; no credential reaches a policy: .*input\.subject/,
    ],
    [
      'it through an import',
      ruled('http.headers.authorization == "a"', HTTP),
      /authz\.rego:\d+: reads the header "authorization"/,
    ],
    [
      'it under another name',
      ruled('h["headers"]["authorization"] == "a"', `${HTTP} as h`),
      /reads the header "authorization"/,
    ],
    ['a cookie', ruled('http.headers.cookie == "a"', HTTP), /reads the header "cookie"/],
    [
      "Lemma's own headers",
      ruled('http.headers["x-lemma-credential"] == "a"', HTTP),
      /reads the header "x-lemma-credential"/,
    ],
    [
      'a header that is not shown',
      ruled('http.headers["x-user"] == "a"', HTTP),
      /"x-user", which is not shown; list it in metadata\.lemma\.headers/,
    ],
    ['a header in capitals', ruled('http.headers["X-Tenant"] == "a"', HTTP), /lower case/],
    [
      'the body as a text',
      ruled('contains(http.body, "a")', HTTP),
      /http\.body, which is not here; read input\.parsed_body/,
    ],
    [
      'where it goes',
      ruled('input.attributes.destination.address.socketAddress.portValue == 80'),
      /destination, which is not here; .*input\.route/,
    ],
    [
      'what other filters claim',
      ruled('input.attributes.metadataContext.filterMetadata.a.b == 1'),
      /metadataContext, which is not here/,
    ],
    [
      'a port',
      ruled('input.attributes.source.address.socketAddress.portValue == 1'),
      /portValue, which is not here; read its address/,
    ],
    [
      'a name with a mistake',
      ruled('input.parsed_pth[0] == "a"'),
      /input\.parsed_pth, which is not here; known there: .*parsed_path/,
    ],
    [
      'another query',
      ruled('true', 'result["query_parameters_to_set"] := {"a": "b"}'),
      /authz\.rego:\d+: answers with "query_parameters_to_set"/,
    ],
    [
      'the status of the docs',
      ruled('true', 'result["status_code"] := 401'),
      /answers with "status_code".*http_status/,
    ],
  ];
  for (const [what, rego, message] of reads)
    it(`is refused by line where it reads or answers what is not here: ${what}`, () =>
      refuses(rego, message));

  it('is refused where the entrypoint reads the credential, although OPA leaves its line out', async () => {
    const rego = `package envoy.authz\n\ndefault allow := false\n\nallow if input.attributes.request.http.headers.authorization == "a"\n`;
    await refuses(rego, /policy\.wasm: reads the header "authorization".*its line is not in the bundle/);
  });
  it('is refused where the entrypoint changes the query, although OPA leaves its line out', async () => {
    const rego = `package envoy.authz\n\nallow := {"allowed": true, "query_parameters_to_remove": ["a"]}\n`;
    await refuses(rego, /policy\.wasm: answers with "query_parameters_to_remove"/);
  });
  it('is refused by line where it decodes a token', async () => {
    const rego = ruled(
      '[_, claims, _] := io.jwt.decode(input.attributes.request.http.headers["x-tenant"])\n\tclaims.sub == "a"',
    );
    await assert.rejects(
      compileEngine(await build(rego)),
      inputError(/authz\.rego:\d+: calls io\.jwt\.decode, .*read input\.proof and input\.subject/),
    );
  });
  it('may say such names in comments and texts', async () => {
    const bundle = await build(
      ruled('# input.attributes.destination\n\tinput.parsed_path[0] == "input.attributes.destination"'),
    );
    assert.doesNotThrow(() => checkTrust(bundle, TRUST));
  });

  it('is checked by stock `opa check` with the published schema', async () => {
    await writeFile(join(opa.path, 'schema.json'), JSON.stringify(opaEnvoyInputSchema));
    const check = async (rego: string) => {
      await writeFile(join(opa.path, 'checked.rego'), rego);
      return opa.run('check', '--strict', '-s', 'schema.json', 'checked.rego');
    };
    assert.deepEqual([(await check(PEOPLE)).said, (await check(OBJECT)).said], ['', '']);
    const { code, said } = await check(ruled('input.attributes.destination.principal == "a"'));
    assert.equal(code, 1);
    assert.match(said, /checked\.rego:10: rego_type_error: undefined ref: input\.attributes\.destination/);
  });

  it('is no candidate for what was decided without the adapter', async () => {
    const engine = await compileEngine(await build(PEOPLE));
    const { now, why } = await judged(engine, allowedInput('low'));
    assert.deepEqual([now, /lacks opa-envoy-plugin's input/.test(why ?? '')], [null, true]);
    assert.equal((await judged(engine, input())).now?.verdict, 'allow');
  });

  it("has its impact told as it decides: with the profile's own before it", async () => {
    const [low] = (await loadEmbedded()).filter(({ name }) => name === 'low');
    const yes = await build('package envoy.authz\n\nallow := yes\n\nyes := true\n');
    const people = await build(PEOPLE);
    const engine = await compileEngine(people);
    const recorded = [
      input(),
      input({ proof: { scope: [] } }),
      input({ freshness: { age_ms: 60_000 } }),
    ] as unknown as PolicyInput[];
    const { counts, reproduced, changes } = await runImpact({
      lines: inChunks(recorded.map((one, i) => recordedLine(i + 1, engine, one))),
      candidates: [yes],
      bundleOf: async (sha256) => [people, low].find((one) => one?.sha256 === sha256) ?? null,
      threads: 1,
    });
    assert.deepEqual(
      [reproduced.equal, counts.same, changes.map(({ kind, decision_id }) => [kind, decision_id.at(-1)])],
      [3, 2, [['newly_allowed', '2']]],
    );
  });

  it("is asked only what the profile's own policy allows", async () => {
    const engine = await compileEngine(await build('package envoy.authz\n\nallow := yes\n\nyes := true\n'));
    const reasonOf = (change: object) => engine.evaluate(bytes(input(change))).result.reason;
    assert.deepEqual(
      [
        reasonOf({}),
        reasonOf({ proof: { taint_epoch: 9 } }),
        reasonOf({ freshness: { age_ms: 60_000 } }),
        reasonOf({ budget: { limit: 1, used: 2 } }),
        reasonOf({ subject: { via: 'token' } }),
        reasonOf({ subject: { via: 'asserted' } }),
      ],
      ['allowed', 'taint_ahead', 'freshness_stale', 'budget_exhausted', 'legacy_disabled', 'policy_denied'],
    );
  });

  it('is held to the confirmation and the record of its profile', async () => {
    const registry = new PolicyRegistry(memoryArchive());
    const more = { profile: 'critical', confirm: false, record: 'behind' };
    await registry.activate([await build(PEOPLE, more)], TRUST);
    const { meta, ref } = registry.active('critical');
    assert.deepEqual([meta.confirm, meta.record, ref.base], [true, 'durable', EMBEDDED_PINS.critical]);
  });

  it('is looked at as well where Lemma signed it', async () => {
    const seed = new Uint8Array(32).fill(9);
    const bundle = signBundle(
      await build(ruled('json.unmarshal(input.attributes.source.principal).a')),
      seed,
    );
    const trust: Trust = { kind: 'signed', keys: [publicKeyOf(seed)], now: 0 };
    assert.throws(() => checkTrust(bundle, trust), denial('bundle_rejected', /calls json\.unmarshal/));
  });

  const manifests: readonly [what: string, more: object, message: RegExp][] = [
    ['another adapter', { adapter: 'other' }, /metadata\.lemma\.adapter: must be one of opa-envoy/],
    ['no profile', { profile: undefined }, /metadata\.lemma\.profile: missing/],
    ['reasons, which it has none of', { reasons: {} }, /metadata\.lemma\.reasons: unknown member/],
  ];
  for (const [what, more, message] of manifests) {
    it(`is refused with ${what}`, async () => {
      await assert.rejects(build(PEOPLE, more), inputError(message));
    });
  }
});
