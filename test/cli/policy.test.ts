import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { filesInDir, filesInTar, readBundleDir } from '../../src/policy/bundle.ts';
import { diffLines } from '../../src/policy/diff-lines.ts';
import { packRegoOnly, regoOnlyOf } from '../../src/policy/rego-only.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { allowedInput } from '../policy/support.ts';
import { keyNamed } from '../support/kit.ts';
import { emptyFolder, lemma } from './lemma.ts';

const PACKAGE = fileURLToPath(new URL('../../', import.meta.url));
const AUTHOR = keyNamed('policy author');
const JWK = { kty: 'OKP', crv: 'Ed25519', x: toBase64url(AUTHOR.public) };

interface Envelope {
  readonly ok: boolean;
  readonly command: string;
  readonly error_code: string | null;
  readonly data: Record<string, unknown>;
}

describe('the diff of a formatted file', () => {
  const text = fc
    .array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 12 })
    .map((lines) => lines.join('\n'));
  const side = (sign: string, lines: readonly string[]) =>
    lines.filter((line) => !line.startsWith(sign)).map((line) => line.slice(1));

  it('holds the lines of both texts where its head says', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        const [head = '', ...lines] = diffLines(before, after);
        const [, at = '1', was = '0', is = '0'] = /^@@ -(\d+),(\d+) \+\d+,(\d+) @@$/.exec(head) ?? [];
        const part = (all: string, length: string) =>
          all.split('\n').slice(Number(at) - 1, Number(at) - 1 + Number(length));
        assert.deepEqual(side('+', lines), part(before, was));
        assert.deepEqual(side('-', lines), part(after, is));
      }),
    );
  });

  it('leaves nothing out that differs', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        const [head = '@@ -1', ...lines] = diffLines(before, after);
        const start = Number(/-(\d+)/.exec(head)?.[1]) - 1;
        const all = before.split('\n');
        all.splice(start, side('+', lines).length, ...side('-', lines));
        assert.equal(all.join('\n'), after);
      }),
    );
  });
});

describe('lemma policy', function () {
  this.timeout(PATIENT_MS);
  let folder: ReturnType<typeof emptyFolder>;

  const at = (...path: string[]) => join(folder.path, ...path);
  const policy = (...args: string[]) => lemma(folder.path, ['policy', ...args]);
  const edit = (file: string, from: string | RegExp, to: string) => {
    const before = readFileSync(at('policies', file), 'utf8');
    const after = before.replaceAll(from, to);
    assert.notEqual(after, before);
    writeFileSync(at('policies', file), after);
  };
  const asJson = async (...args: string[]): Promise<Envelope> =>
    JSON.parse((await policy(...args, '--json')).out) as Envelope;

  function workplace() {
    folder = emptyFolder();
    cpSync(join(PACKAGE, 'policies'), at('policies'), { recursive: true });
    writeFileSync(at('author.key'), `${toBase64url(AUTHOR.seed)}\n`, { mode: 0o600 });
    mkdirSync(at('given'));
    for (const name of ['low', 'high', 'critical'])
      cpSync(join(PACKAGE, 'bundles', name), at('given', name), { recursive: true });
  }

  beforeEach(function () {
    if (!wasmBuilt()) this.skip();
    workplace();
  });
  afterEach(() => folder?.remove());

  describe('check', () => {
    it('finds the policies in the folder good', async () => {
      const { code, out, err } = await policy('check');
      assert.deepEqual([code, err, out.includes(at('policies'))], [0, '', true]);
    });

    it("takes the package's own where there are none", async () => {
      rmSync(at('policies'), { recursive: true });
      assert.match((await policy('check')).out, /critical/);
    });

    it('names file, line and column of a mistyped input, and what could stand there', async () => {
      edit('low/decision.rego', 'input.route.id in', 'input.proof.scopes in');
      const { code, err } = await policy('check');
      assert.equal(code, 1);
      assert.match(err, /^policies\/low\/decision\.rego:53:\d+: rego_type_error: .*input\.proof\.scopes/m);
    });

    it('says what to use instead of a clock', async () => {
      edit('low/decision.rego', 'input.profile == "low"', 'time.now_ns() > 0');
      assert.match((await policy('check')).err, /decision\.rego:\d+:\d+: .*time\.now_ns\n\t.*input\.now/);
    });

    it('lets a test call what a policy may not', async () => {
      const file = at('policies/low/clock_test.rego');
      writeFileSync(file, 'package lemma.clock_test\n\ntest_clock if time.now_ns() > 0\n');
      assert.equal((await policy('check')).code, 0);
    });

    it('tells a machine every problem of the lint with its place', async () => {
      edit('low/data.json', '"legacy_routes"', '"dead": 1, "legacy_routes"');
      const { ok, command, error_code, data } = await asJson('check');
      const [problem] = data.problems as { code: string; file: string; row: number }[];
      assert.deepEqual([ok, command, error_code], [false, 'policy check', 'policy_invalid']);
      assert.deepEqual(
        [problem?.code, problem?.file, problem?.row],
        ['lint_data_unread', 'policies/low/data.json', 5],
      );
    });

    it('refuses data with a key twice', async () => {
      edit('low/data.json', '"legacy_routes"', '"freshness_max_ms": 1, "legacy_routes"');
      assert.match((await policy('check')).err, /low\/data\.json: has the key .*freshness_max_ms.* twice/);
    });

    it('is misused with a folder that holds no policies', async () => {
      assert.equal((await policy('check', 'nowhere')).code, 2);
    });
  });

  describe('test', () => {
    it('says how many pass', async () => {
      assert.match((await policy('test')).out, /^(\d+) of \1 tests pass$/m);
    });

    it('fails with the place of the failed test, and its trace', async () => {
      edit('low/data.json', '30000', '20000');
      const { code, err } = await policy('test');
      assert.equal(code, 1);
      assert.match(
        err,
        /^policies\/low\/decision_test\.rego:\d+:1: data\.lemma\.low_test\.test_allows_state_of_30_s: fail\n\t(?:.*\n\t)*policies\/lib\/facts\.rego:42 .*Fail/m,
      );
    });

    it('fails below the threshold of coverage', async () => {
      assert.equal((await asJson('test', '--threshold', '99.99')).error_code, 'coverage_low');
    });

    it('names the rules that no test makes true, with their places', async () => {
      edit('low/decision.rego', 'admitted if {', 'admitted if input.v == 99\n\nadmitted if {');
      const { data } = await asJson('test', '--coverage');
      const { problems } = data.coverage as { problems: { code: string; file: string; row: number }[] };
      assert.deepEqual(
        problems.map(({ code, file, row }) => [code, file, row]),
        [['rule_uncovered', 'policies/low/decision.rego', 46]],
      );
    });

    it('passes at a threshold that is held', async () => {
      assert.equal((await policy('test', '--threshold', '99')).code, 0);
    });

    it('says so when the report cannot be written', async () => {
      assert.equal((await asJson('test', '--junit', 'no/such/folder.xml')).error_code, 'file_error');
    });

    it('is misused with a threshold that is no percentage', async () => {
      assert.equal((await policy('test', '--threshold', '101')).code, 2);
    });

    it('fails where there is no test to run', async () => {
      assert.equal((await asJson('test', '--run', 'test_nothing_at_all')).error_code, 'tests_missing');
    });

    it('writes failures as JUnit, escaped', async () => {
      const file = at('policies/low/odd_test.rego');
      writeFileSync(file, 'package lemma.odd_test\n\ntest_odd if "<&>" == "<"\n');
      await policy('test', '--run', 'odd_test', '--junit', 'out.xml');
      const xml = readFileSync(at('out.xml'), 'utf8');
      assert.match(xml, /<testsuites tests="1" failures="1" errors="0"/);
      assert.match(xml, /name="test_odd" file="policies\/low\/odd_test\.rego" line="3"[^>]*>\s*<failure /);
      assert.equal(xml.includes('"<&>"'), false);
    });
  });

  describe('fmt', () => {
    const spoil = () => edit('low/decision.rego', 'decision := lib', 'decision   :=   lib');

    it('names what is not as OPA writes it, and fails', async () => {
      spoil();
      const { code, err } = await policy('fmt');
      assert.deepEqual([code, err.includes('policies/low/decision.rego')], [1, true]);
    });

    it('shows the difference', async () => {
      spoil();
      const { err } = await policy('fmt', '--diff');
      assert.match(err, /^-decision {3}:= {3}lib\.decide\(deny\)\n\+decision := lib\.decide\(deny\)$/m);
    });

    it('writes it, and finds nothing more to do', async () => {
      const before = readFileSync(at('policies/low/decision.rego'), 'utf8');
      spoil();
      const { code } = await policy('fmt', '--write');
      const after = readFileSync(at('policies/low/decision.rego'), 'utf8');
      assert.deepEqual([code, after, (await policy('fmt')).code], [0, before, 0]);
    });
  });

  describe('build', () => {
    it("makes the package's bundles of the package's policies", async () => {
      await policy('build', '--out', 'out');
      const [built, given] = await Promise.all([
        readBundleDir(at('out/high')),
        readBundleDir(at('given/high')),
      ]);
      assert.equal(built.sha256, given.sha256);
    });

    it('writes none of them when one is wrong', async () => {
      edit('critical/decision.rego', 'input.profile', 'input.profil');
      const { code } = await policy('build', '--out', 'out');
      assert.deepEqual([code, existsSync(at('out'))], [1, false]);
    });

    it('does not replace what is no bundle', async () => {
      const { code } = await policy('build', '--out', 'policies');
      assert.deepEqual([code, existsSync(at('policies/low/decision_test.rego'))], [1, true]);
    });

    it('gives the serial that it is told', async () => {
      const { data } = await asJson('build', '--out', 'out', '--serial', '7');
      const serials = (data.bundles as { serial: number }[]).map(({ serial }) => serial);
      assert.deepEqual(serials, [7, 7, 7]);
    });

    it("writes what stock OPA takes, the package's own for the package's policies", async () => {
      await policy('build', '--out', 'out', '--rego-only');
      const given = await filesInDir(join(PACKAGE, 'bundles/rego/high'));
      assert.deepEqual(filesInTar(readFileSync(at('out/high.tar.gz'))), given);
    });

    for (const wrong of [
      ['--rego-only', '--sign-key', 'author.key'],
      ['--opa-key', 'opa.pem'],
      ['--rego-only', '--opa-scope', 'read'],
    ])
      it(`is misused with ${wrong.join(' ')}`, async () => {
        assert.equal((await policy('build', '--out', 'out', ...wrong)).code, 2);
      });

    it('is misused without a folder to write to', async () => {
      assert.equal((await policy('build')).code, 2);
    });
  });

  describe('sign, verify and inspect', () => {
    const sign = (path: string) => policy('sign', path, '--key', 'author.key');
    const verify = (path: string, key: string) => asJson('verify', path, '--key', key);

    it('verify believes what sign has signed', async () => {
      await sign('given');
      const { data } = await verify('given', JSON.stringify(JWK));
      assert.equal((data.bundles as unknown[]).length, 3);
    });

    it('signs an archive as well', async () => {
      const { files } = await readBundleDir(at('given/low'));
      writeFileSync(at('low.tar.gz'), gzipSync(writeTar(files)));
      await sign('low.tar.gz');
      assert.equal((await verify('low.tar.gz', JWK.x)).ok, true);
    });

    it('verify does not believe what was touched afterwards', async () => {
      await sign('given');
      const data = readFileSync(at('given/low/data.json'), 'utf8').replace('30000', '90000');
      writeFileSync(at('given/low/data.json'), data);
      assert.equal((await verify('given', JWK.x)).error_code, 'bundle_rejected');
    });

    it('verify does not believe another key', async () => {
      await sign('given');
      const other = toBase64url(keyNamed('another author').public);
      assert.equal((await verify('given', other)).error_code, 'bundle_rejected');
    });

    it('verify does not believe one past its end', async () => {
      await policy('sign', 'given', '--key', 'author.key', '--expires-at', '1');
      assert.equal((await verify('given', JWK.x)).error_code, 'bundle_rejected');
    });

    it('verify refuses a private key', async () => {
      await sign('given');
      const key = JSON.stringify({ ...JWK, d: toBase64url(AUTHOR.seed) });
      assert.equal((await verify('given', key)).error_code, 'key_invalid');
    });

    it('sign refuses a key that others may read', async () => {
      chmodSync(at('author.key'), 0o644);
      assert.match((await sign('given')).err, /author\.key: is open to others/);
    });

    it('inspect tells what it is and whose signature is there', async () => {
      await sign('given/low');
      const { data } = await asJson('inspect', 'given/low');
      const [view] = data.bundles as Record<string, Record<string, unknown>>[];
      const { sha256, revision } = await readBundleDir(at('given/low'));
      assert.deepEqual(
        [view?.name, view?.revision, view?.sha256, view?.signature?.keyid],
        ['low', revision, sha256, AUTHOR.id],
      );
    });

    it('inspect tells where the rule of each reason stands', async () => {
      assert.match((await policy('inspect', 'given/low')).out, /taint_ahead +lemma\/low\/decision\.rego:\d+/);
    });
  });

  describe('sign and verify, for stock OPA', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const verify = (path: string, ...more: string[]) =>
      asJson('verify', path, '--opa-key', 'opa.pub', ...more);

    beforeEach(() => {
      writeFileSync(at('opa.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
      writeFileSync(at('opa.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
      mkdirSync(at('plain'));
      for (const name of ['low', 'high'])
        writeFileSync(at(`plain/${name}.tar.gz`), packRegoOnly(plainOf(name)));
    });

    const plainOf = (name: string) =>
      regoOnlyOf(
        new Map(
          ['.manifest', 'data.json', `lemma/${name}/decision.rego`].map((path) => [
            path,
            readFileSync(join(PACKAGE, 'bundles/rego', name, path)),
          ]),
        ),
      );

    it('verify believes what sign has signed, with the key id and scope that it was given', async () => {
      await policy('sign', 'plain', '--opa-key', 'opa.pem', '--opa-key-id', 'k1', '--opa-scope', 'read');
      const { data } = await verify('plain', '--opa-scope', 'read');
      const found = (data.bundles as Record<string, string>[]).map(({ name, keyid, scope }) => [
        name,
        keyid,
        scope,
      ]);
      assert.deepEqual(found, [
        ['low', 'k1', 'read'],
        ['high', 'k1', 'read'],
      ]);
    });

    it('build signs as well', async () => {
      const built = await asJson('build', '--out', 'out', '--rego-only', '--opa-key', 'opa.pem');
      const { data } = await verify('out/critical.tar.gz');
      const [found] = data.bundles as { keyid: string }[];
      assert.equal(found?.keyid, (built.data.signed_by as { keyid: string }).keyid);
    });

    it('verify does not believe one without a signature', async () => {
      assert.equal((await verify('plain/low.tar.gz')).error_code, 'bundle_rejected');
    });

    it('verify does not believe another scope', async () => {
      await policy('sign', 'plain', '--opa-key', 'opa.pem', '--opa-scope', 'read');
      assert.equal((await verify('plain')).error_code, 'bundle_rejected');
    });

    it("sign does not put OPA's signature on a bundle with WASM", async () => {
      const { files } = await readBundleDir(at('given/low'));
      writeFileSync(at('low.tar.gz'), gzipSync(writeTar(files)));
      const { error_code } = await asJson('sign', 'low.tar.gz', '--opa-key', 'opa.pem');
      assert.equal(error_code, 'input_invalid');
    });

    it("sign does not put the service's signature on one without", async () => {
      const { error_code } = await asJson('sign', 'plain/low.tar.gz', '--key', 'author.key');
      assert.equal(error_code, 'bundle_rego_only');
    });

    it('sign refuses a key that others may read', async () => {
      chmodSync(at('opa.pem'), 0o644);
      const { err } = await policy('sign', 'plain', '--opa-key', 'opa.pem');
      assert.match(err, /opa\.pem: is open to others/);
    });

    it('sign refuses a key of another curve', async () => {
      const other = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey;
      writeFileSync(at('opa.pem'), other.export({ type: 'pkcs8', format: 'pem' }));
      assert.equal((await asJson('sign', 'plain', '--opa-key', 'opa.pem')).error_code, 'key_invalid');
    });

    it('verify refuses a private key', async () => {
      const { error_code } = await asJson('verify', 'plain', '--opa-key', 'opa.pem');
      assert.equal(error_code, 'key_invalid');
    });

    for (const verb of ['sign', 'verify'])
      it(`${verb} is misused without a key`, async () => assert.equal((await policy(verb, 'plain')).code, 2));
  });

  describe('eval', () => {
    const evaluate = (input: unknown, ...more: string[]) => {
      writeFileSync(at('input.json'), `${JSON.stringify(input)}\n`);
      return asJson('eval', '--profile', 'high', '--input', 'input.json', ...more);
    };

    it("gives the policy's result", async () => {
      const { data } = await evaluate(allowedInput('high'));
      assert.deepEqual(data.result, { allow: true, reason: 'allowed', reasons: [] });
    });

    it('evaluates the policies of the folder as they are now', async () => {
      edit('high/data.json', '3600000', '1');
      const { data } = await evaluate(allowedInput('high'));
      assert.equal((data.result as { reason: string }).reason, 'ttl_too_long');
    });

    it('evaluates a bundle where it is told to', async () => {
      edit('high/data.json', '3600000', '1');
      const { data } = await evaluate(allowedInput('high'), '--bundle', 'given');
      assert.equal((data.result as { reason: string }).reason, 'allowed');
    });

    it("shows OPA's trace", async () => {
      const { data } = await evaluate(allowedInput('high'), '--bundle', 'given', '--trace');
      assert.match((data.trace as string[]).join('\n'), /lemma\/high\/decision\.rego:11/);
    });

    it('denies what it cannot understand', async () => {
      const { data } = await evaluate({ v: 2 });
      assert.equal((data.result as { allow: boolean }).allow, false);
    });

    it('is misused with a profile that there is none of', async () => {
      const { code } = await policy('eval', '--profile', 'medium', '--input', 'input.json');
      assert.equal(code, 2);
    });
  });
});
