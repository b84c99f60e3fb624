import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { policyInputSchema } from '../../src/schema/input.ts';
import { findOpa } from '../../tools/bundles/opa.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { type Author, authorIn } from '../support/author.ts';
import { needPart } from '../support/envoy-scene.ts';
import { emptyFolder, lemma } from './lemma.ts';

interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
}

/** What needs the service that runs the pipeline, or the package's registry. */
const ELSEWHERE = new Set(['Install', 'Comment']);

describe('lemma policy init', function () {
  this.timeout(4 * PATIENT_MS);
  let folder: ReturnType<typeof emptyFolder>;
  let author: Author;
  const at = (...path: string[]) => join(folder.path, 'repo', ...path);
  const read = (path: string) => readFileSync(at(path), 'utf8');
  const init = (...more: string[]) => lemma(folder.path, ['policy', 'init', 'repo', '--json', ...more]);

  const sh = (command: string) => author.sh(command);
  const done = (command: string) => author.done(command);
  const edit = (path: string, from: string, to: string) => author.edit(path, from, to);

  before(async () => {
    folder = emptyFolder();
    assert.equal((await init()).code, 0);
    author = authorIn(at());
  });
  after(() => folder.remove());

  it('refuses a folder that is not empty', async () => {
    const { code, out } = await init();
    assert.deepEqual([code, JSON.parse(out).error_code], [2, 'folder_used']);
  });

  it('refuses a file in place of a folder', async () => {
    writeFileSync(join(folder.path, 'file'), '');
    const { code, err } = await lemma(folder.path, ['policy', 'init', 'file']);
    assert.deepEqual([code, err], [2, 'error: file is a file: name a folder\n']);
  });

  it('keeps with --force what is there, names it, and adds what is missing', async () => {
    const before = read('README.md');
    rmSync(at('schemas'), { recursive: true });
    writeFileSync(at('README.md'), 'ours\n');
    const { data } = JSON.parse((await init('--force')).out);
    assert.equal(read('README.md'), 'ours\n');
    assert.deepEqual(data.written, ['schemas/input.json', 'schemas/result.json']);
    assert.ok(data.kept.includes('README.md'));
    writeFileSync(at('README.md'), before);
  });

  it("gives an editor the input's schema where its settings say", () => {
    const settings = JSON.parse(read('.vscode/settings.json'));
    const schema = settings['opa.schema'].replace(/^\$\{workspaceFolder\}\//, '');
    assert.deepEqual(JSON.parse(read(schema)), JSON.parse(JSON.stringify(policyInputSchema)));
    assert.ok(existsSync(at(parse(read('.regal/config.yaml')).capabilities.from.file)));
  });

  it('makes what stock opa tests and types by that schema', async function () {
    const opa = await needPart(this, 'opa', findOpa);
    assert.match((await done(`'${opa}' test policies`)).out, /^PASS: \d+\/\d+$/m);
    await done(`'${opa}' check --strict --schema schemas/input.json policies`);
    edit('policies/low/decision.rego', 'input.profile == "low"', 'input.profil == "low"');
    const typo = await sh(`'${opa}' check --strict --schema schemas/input.json policies`);
    edit('policies/low/decision.rego', 'input.profil == "low"', 'input.profile == "low"');
    assert.deepEqual([typo.code, /undefined ref: input\.profil/.test(typo.err)], [1, true]);
  });

  describe('its pipelines', () => {
    before(function () {
      if (!wasmBuilt()) this.skip();
    });

    it('of GitHub: each step is an action or a command, and each command does its work', async () => {
      const steps: readonly Step[] = parse(read('.github/workflows/policy.yml')).jobs.policy.steps;
      assert.ok(steps.every(({ uses, run }) => (uses === undefined) !== (run === undefined)));
      const here = steps.filter(({ run, name = '' }) => run !== undefined && !ELSEWHERE.has(name));
      assert.deepEqual(
        here.map(({ name }) => name),
        ['Format', 'Check', 'Test', 'Build', 'Impact'],
      );
      for (const { run = '' } of here) await done(run);
      assert.match(read('build/junit.xml'), /<testsuite/);
      assert.ok(existsSync(at('build/bundles/critical/policy.wasm')));
    });

    it('of GitLab: each command does its work', async () => {
      const { script } = parse(read('.gitlab-ci.yml')).policy;
      for (const command of script) await done(command);
    });

    it('fail for a rule without a test', async () => {
      const rule = '\ndeny contains "x_no_deleting" if input.request.method == "DELETE"\n';
      writeFileSync(at('policies/low/own.rego'), `package lemma.low\n${rule}`);
      const [failing] = (parse(read('.gitlab-ci.yml')).policy.script as string[]).filter((c) =>
        c.includes('policy check'),
      );
      const { code, err } = await sh(failing ?? '');
      rmSync(at('policies/low/own.rego'));
      assert.deepEqual([code, /own\.rego:3:1: lint_rule_untested/.test(err)], [1, true]);
    });
  });

  describe('its hook', () => {
    before(async function () {
      if (!wasmBuilt()) this.skip();
      await done('git init --quiet --initial-branch main && git config core.hooksPath .githooks');
    });

    it('lets the first commit pass', async () => {
      await done('git add --all && git commit --quiet --message first');
      assert.match((await done('git log --format=%s')).out, /^first\n$/);
    });

    const WRONG: readonly (readonly [what: string, from: string, to: string, why: RegExp])[] = [
      ['that is not formatted', 'default decision := {', 'default  decision :=  {', /not as OPA writes it/],
      [
        'with a typo',
        'input.profile',
        'input.profil',
        /policies\/low\/decision\.rego:\d+:\d+: rego_type_error/,
      ],
      ['whose tests fail', 'input.profile == "low"', 'input.profile == "high"', /tests failed/],
    ];
    for (const [what, from, to, why] of WRONG) {
      it(`refuses a commit ${what}`, async () => {
        edit('policies/low/decision.rego', from, to);
        const { code, out, err } = await sh('git commit --all --message wrong');
        await done('git checkout --quiet HEAD -- policies');
        assert.equal(code, 1);
        assert.match(out + err, why);
        assert.equal((await done('git log --format=%s')).out, 'first\n');
      });
    }

    it('looks at what is staged, not at what lies in the folder', async () => {
      edit('policies/low/decision.rego', 'input.profile', 'input.profil');
      await done('git add --all');
      edit('policies/low/decision.rego', 'input.profil ', 'input.profile ');
      const { code } = await sh('git commit --message staged');
      assert.equal(code, 1);
      await done('git reset --quiet --hard');
    });

    it('lets a commit pass whose tests follow its change', async () => {
      edit('policies/low/data.json', '30000', '20000');
      await done("sed -i 's/3000\\([01]\\)/2000\\1/g' policies/low/decision_test.rego");
      await done('git commit --quiet --all --message second');
      assert.equal((await done('git log --format=%s')).out, 'second\nfirst\n');
    });
  });
});
