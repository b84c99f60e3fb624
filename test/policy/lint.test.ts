import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { type Compiler, openCompiler } from '../../src/policy/compiler/compiler.ts';
import { lint, review } from '../../src/policy/lint.ts';
import { sourcesIn } from '../../src/policy/policy-files.ts';
import { PATIENT_MS, resultOf, wasmBuilt } from './compiler/support.ts';

const POLICIES = fileURLToPath(new URL('../../policies/', import.meta.url));

describe('the lint of policies', function () {
  this.timeout(PATIENT_MS);
  let compiler: Compiler;
  let defaults: ReadonlyMap<string, string>;

  before(async function () {
    if (!wasmBuilt()) this.skip();
    compiler = await openCompiler({ engine: 'wasm', timeLimitMs: PATIENT_MS });
    defaults = await sourcesIn(POLICIES, 'policies');
  });
  after(() => compiler?.close());

  async function linted(files: ReadonlyMap<string, string>) {
    const policies = { files, under: 'policies' };
    const parsed = resultOf(await review(compiler, policies));
    assert.ok(parsed !== null);
    return lint(compiler, { ...policies, parsed });
  }

  /** The default policies with one file edited; absent files are empty before. */
  async function edited(file: string, edit: (text: string) => string): Promise<string[]> {
    const path = `policies/${file}`;
    const files = new Map([...defaults, [path, edit(defaults.get(path) ?? '')] as const]);
    const found = await linted(files);
    return found.map((problem) => `${problem.file}:${problem.row}:${problem.col} ${problem.code}`);
  }

  const decision = 'low/decision.rego';
  const DEFAULT = /^default decision := .*$/m;

  it('finds nothing in the default policies', async () => {
    assert.deepEqual(await edited(decision, (text) => text), []);
  });

  it('finds a profile without a default', async () => {
    const found = await edited(decision, (text) => text.replace(DEFAULT, ''));
    assert.deepEqual(found, ['policies/low/decision.rego:1:1 lint_no_default_deny']);
  });

  for (const value of ['{"allow": true}', 'true', '{"allow": "false"}', '{}'])
    it(`finds a default that does not deny: ${value}`, async () => {
      const found = await edited(decision, (text) => text.replace(DEFAULT, `default decision := ${value}`));
      assert.deepEqual(found, ['policies/low/decision.rego:9:1 lint_no_default_deny']);
    });

  it('takes a default that denies over several lines', async () => {
    const lines = 'default decision := {\n\t"allow": false,\n\t# }\n\t"reason": "policy_denied",\n}';
    assert.deepEqual(await edited(decision, (text) => text.replace(DEFAULT, lines)), []);
  });

  it('finds a code of the precedence that nothing denies with', async () => {
    const found = await edited('critical/decision.rego', (text) =>
      text.replace('contains "run_required"', 'contains "x_run"'),
    );
    assert.deepEqual(
      found.filter((line) => line.includes('reason')),
      ['policies/lib/decide.rego:6:1 lint_reason_unproduced'],
    );
  });

  it('says nothing of codes where one is computed', async () => {
    const found = await edited('critical/decision.rego', (text) =>
      text.replace('contains "run_required"', 'contains concat("", ["x_", input.profile])'),
    );
    assert.deepEqual(
      found.filter((line) => line.includes('reason')),
      [],
    );
  });

  it('finds a code that a policy may not give', async () => {
    const found = await edited(decision, (text) => text.replace('contains "taint_ahead"', 'contains "nope"'));
    assert.deepEqual(found, ['policies/low/decision.rego:21:1 lint_reason_unknown']);
  });

  it('finds a key of the data that nobody reads, at its place', async () => {
    const found = await edited('low/data.json', (text) => text.replace('{\n', '{\n  "old": {"a": 1},\n'));
    assert.deepEqual(found, ['policies/low/data.json:2:3 lint_data_unread']);
  });

  it('finds an unread key beside those that are read', async () => {
    const found = await edited('low/data.json', (text) => text.replace('"reading', '"dead": 1,\n"reading'));
    assert.deepEqual(found, ['policies/low/data.json:3:5 lint_data_unread']);
  });

  it('takes data as read that is read as a whole', async () => {
    const rule = '\nknown if count(data.lemma.low.table) > 0\n';
    const files = new Map(defaults);
    files.set('policies/low/data.json', '{"table": {"a": 1}, "settings": {}}');
    files.set('policies/low/decision.rego', `${defaults.get('policies/low/decision.rego')}${rule}`);
    const found = await linted(files);
    assert.equal(
      found.some(({ code }) => code === 'lint_data_unread'),
      false,
    );
  });

  const UNTESTED = ['policies/low/decision.rego:57:1 lint_rule_untested'];
  const DENIAL = '\ndeny contains "x_odd" if input.v == 99\n';

  it('finds a rule that no test refers to', async () => {
    assert.deepEqual(await edited(decision, (text) => `${text}\nidle if input.v == 99\n`), UNTESTED);
  });

  it('finds a denial whose code no test names', async () => {
    assert.deepEqual(await edited(decision, (text) => `${text}${DENIAL}`), UNTESTED);
  });

  async function withTest(test: string): Promise<string[]> {
    const files = new Map(defaults);
    files.set('policies/low/decision.rego', `${defaults.get('policies/low/decision.rego')}${DENIAL}`);
    files.set('policies/low/odd_test.rego', `package lemma.odd_test\n\n${test}\n`);
    return (await linted(files)).map(({ code }) => code);
  }

  it('takes a denial as tested whose code a test of it names', async () => {
    assert.deepEqual(await withTest('test_odd if "x_odd" in data.lemma.low.decision.reasons'), []);
  });

  it('takes a code as named that a fixture holds', async () => {
    const test = 'odd := "x_odd"\n\ntest_odd if odd in data.lemma.low.decision.reasons';
    assert.deepEqual(await withTest(test), []);
  });

  it('takes a rule as referred to where the reference is computed', async () => {
    const test = 'test_odd if {\n\tsome profile in ["low"]\n\t"x_odd" in data.lemma[profile].deny\n}';
    assert.deepEqual(await withTest(test), []);
  });

  for (const [what, test] of [
    ['the tests of another profile', 'test_odd if "x_odd" in data.lemma.high.decision.reasons'],
    ['a rule that is no test', 'odd if "x_odd" in data.lemma.low.decision.reasons'],
    ['a test that is left out', 'todo_test_odd if "x_odd" in data.lemma.low.decision.reasons'],
  ] as const)
    it(`is not content with a code that is named by ${what}`, async () => {
      assert.deepEqual(await withTest(test), ['lint_rule_untested']);
    });

  for (const stray of ['low/deep/more.rego', 'other/more.rego'])
    it(`finds a file that no bundle holds: ${stray}`, async () => {
      const found = await edited(stray, () => 'package lemma.low\n');
      assert.deepEqual(found, [`policies/${stray}:1:1 lint_not_bundled`]);
    });

  it('finds data of lib, which no bundle holds', async () => {
    const found = await edited('lib/data.json', () => '{}');
    assert.deepEqual(found, ['policies/lib/data.json:1:1 lint_not_bundled']);
  });

  it("finds a package outside the profile's root", async () => {
    const found = await edited('low/more.rego', () => 'package lemma.lower\n');
    assert.deepEqual(found, ['policies/low/more.rego:1:1 lint_package']);
  });
});
