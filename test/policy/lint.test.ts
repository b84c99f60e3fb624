import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { type Compiler, openCompiler } from '../../src/policy/compiler/compiler.ts';
import { lint } from '../../src/policy/lint.ts';
import { sourcesIn } from '../../src/policy/policy-files.ts';
import { PATIENT_MS, wasmBuilt } from './compiler/support.ts';

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

  /** The default policies with one file edited; absent files are empty before. */
  async function edited(file: string, edit: (text: string) => string): Promise<string[]> {
    const path = `policies/${file}`;
    const files = new Map([...defaults, [path, edit(defaults.get(path) ?? '')] as const]);
    const found = await lint(compiler, { files, under: 'policies' });
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
    assert.deepEqual(found, ['policies/lib/decide.rego:6:1 lint_reason_unproduced']);
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
    const found = await lint(compiler, { files, under: 'policies' });
    assert.equal(
      found.some(({ code }) => code === 'lint_data_unread'),
      false,
    );
  });

  it('finds a rule that no test evaluates', async () => {
    const found = await edited(decision, (text) => `${text}\nidle if input.v == 99\n`);
    assert.deepEqual(found, ['policies/low/decision.rego:57:1 lint_rule_untested']);
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
