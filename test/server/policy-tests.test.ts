import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { TestedRevision } from '../../src/authority/revisions.ts';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import type { Bundle } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { isTestFile, sourcesIn } from '../../src/policy/policy-files.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { republished } from '../policy/support.ts';
import { type Running, running } from '../support/running.ts';

const BASE = '/api/wallet/policies';
const POLICIES = fileURLToPath(new URL('../../policies', import.meta.url));
const WRONG =
  'package lemma.low_test\n\ntest_wrong if {\n\tdata.lemma.low.decision.allow with input as {}\n}\n';

/** The default policy of low, published again: its own tests are those of the package. */
describe('tests of a kept policy', function () {
  this.timeout(PATIENT_MS);
  let service: Running;
  let folder: string;
  let bundle: Bundle;
  let own: Record<string, string>;

  const test = (tests: object, sha256 = bundle.sha256) =>
    service.control(`${BASE}/${sha256}/tests`, { tests });
  const known = async () => {
    const { bundles } = (await service.control(`${BASE}/history?profile=low`)).body as unknown as {
      bundles: { sha256: string; tests: TestedRevision | null }[];
    };
    return bundles.find(({ sha256 }) => sha256 === bundle.sha256)?.tests;
  };
  const activate = () => service.control(`${BASE}/activate`, { bundles: [bundle.sha256] });

  before(async function () {
    if (!wasmBuilt()) this.skip();
    const found = [...(await sourcesIn(POLICIES, ''))].filter(
      ([path]) => isTestFile(path) && /^\/(?:low|lib)\//.test(path),
    );
    own = Object.fromEntries(found.map(([path, text]) => [path.slice(1), text]));
  });
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-policy-tests-'));
    service = await running({ folder });
    const seed = fromBase64url(readFileSync(join(folder, '.lemma/keys/bundle.key'), 'utf8').trim());
    const low = (await loadEmbedded()).find(({ name }) => name === 'low') as Bundle;
    bundle = signBundle(republished(low, 100, 'low-100'), seed ?? new Uint8Array());
    const bundle_base64 = gzipSync(writeTar(bundle.files)).toString('base64');
    assert.equal((await service.control(`${BASE}/publish`, { bundle_base64 })).status, 200);
  });
  afterEach(async () => {
    await service?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  it('are not known of one that came alone', async () => assert.equal(await known(), null));

  it('stand beside who brought it', async () => {
    const { bundles } = (await service.control(`${BASE}/history?profile=low`)).body as unknown as {
      bundles: { serial: number; published: { by: string; reason: string | null } | null }[];
    };
    const who = bundles.map(({ serial, published }) => [serial, published?.by, published?.reason]);
    assert.deepEqual(who.at(-1), [100, 'owner', null]);
    assert.deepEqual(who[0]?.slice(1), [undefined, undefined]);
  });

  it("run against the bundle's own Rego and data, and are kept with what they cover", async () => {
    const { status, body } = await test(own);
    const tests = body.tests as TestedRevision;
    assert.deepEqual([status, tests.failed, tests.failures, tests.by], [200, 0, [], 'owner']);
    assert.ok(tests.passed > 40, String(tests.passed));
    assert.deepEqual(
      tests.coverage.files.map(({ file }) => file),
      ['lemma/low/decision.rego', 'lemma/low/lib/decide.rego', 'lemma/low/lib/facts.rego'],
    );
    assert.deepEqual((await service.control(`${BASE}/${bundle.sha256}/tests`)).body.tests, tests);
    const { passed, failed, coverage, ...about } = (await known()) ?? {};
    assert.deepEqual(
      [passed, failed, coverage?.percent, coverage?.files.map(({ percent }) => percent)],
      [tests.passed, 0, tests.coverage.percent, tests.coverage.files.map(({ percent }) => percent)],
    );
    assert.equal('failures' in about, false);
  });

  it('name the rows that none of them reaches', async () => {
    await test({ 'low/one_test.rego': 'package lemma.low_test\n\ntest_one if not data.lemma.low.nothing\n' });
    const { body } = await service.control(`${BASE}/${bundle.sha256}/tests`);
    const rego = body.rego as Record<string, string>;
    const file = (body.tests as TestedRevision).coverage.files.find(
      ({ file }) => file === 'lemma/low/decision.rego',
    );
    const lines = rego['lemma/low/decision.rego']?.split('\n') ?? [];
    assert.ok(file !== undefined && file.percent < 20, JSON.stringify(file));
    for (const { from } of file.not_covered) assert.notEqual(lines[from - 1]?.trim(), '');
  });

  it('that fail are kept as such, by name and place, and the bundle does not come into force', async () => {
    const { body } = await test({ ...own, 'low/wrong_test.rego': WRONG });
    assert.equal(body.success, true, String(body.message));
    const { failed, failures } = body.tests as TestedRevision;
    assert.deepEqual(
      [failed, failures.map(({ name, file, row, outcome }) => [name, file, row, outcome])],
      [1, [['data.lemma.low_test.test_wrong', 'low/wrong_test.rego', 3, 'fail']]],
    );
    const refused = await activate();
    assert.deepEqual([refused.status, refused.body.error], [409, 'bundle_rejected']);
    assert.match(String(refused.body.message), /1 of the tests of low-100 failed/);
  });

  it('that hold at last let it come into force', async () => {
    const { body } = await test({ 'low/wrong_test.rego': WRONG });
    assert.equal((body.tests as TestedRevision).failed, 1);
    await test(own);
    assert.equal((await activate()).status, 200);
  });

  it('are those of the latest run, also after a restart', async () => {
    await test(own);
    const before = await known();
    await service.stop();
    service = await running({ folder });
    assert.deepEqual(await known(), before);
  });

  const REFUSED: readonly (readonly [what: string, tests: object, error: string, message: RegExp])[] = [
    ['that do not compile', { 'low/a_test.rego': 'package' }, 'bundle_rejected', /low\/a_test\.rego:1/],
    ['without one', { 'low/a_test.rego': 'package lemma.low_test\n' }, 'bundle_rejected', /there is no test/],
    ['that are no tests', { 'low/a.rego': 'package a\n' }, 'invalid_request', /tests/],
    ['beside the folder', { '../a_test.rego': WRONG }, 'invalid_request', /dot segment/],
  ];
  for (const [what, tests, error, message] of REFUSED) {
    it(`are refused: files ${what}`, async () => {
      const { body } = await test(tests);
      assert.equal(body.error, error);
      assert.match(String(body.message), message);
      assert.equal(await known(), null);
    });
  }

  it('reach no network from here', async () => {
    const rego = `package lemma.low_test\n\ntest_out if http.send({"method": "GET", "url": "http://${service.app.addresses.control}/healthz"}).status_code == 200\n`;
    const { body } = await test({ 'low/out_test.rego': rego });
    const refused = body.success === false || (body.tests as TestedRevision).passed === 0;
    assert.ok(refused, JSON.stringify(body));
  });

  it('of what is not kept are not found', async () => {
    assert.equal((await test(own, '0'.repeat(64))).status, 404);
    assert.equal((await service.control(`${BASE}/${'0'.repeat(64)}/tests`)).status, 404);
  });
});
