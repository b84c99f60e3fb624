import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { emptyFolder, lemma } from '../cli/lemma.ts';
import { PATIENT_MS, wasmBuilt } from './compiler/support.ts';

const POLICIES = fileURLToPath(new URL('../../policies/', import.meta.url));
const RECIPES = readdirSync(join(POLICIES, 'recipes')).sort();

interface Tested {
  readonly tests: readonly { readonly name: string; readonly package: string; readonly outcome: string }[];
  readonly coverage: { readonly not_covered: readonly { readonly file: string }[] };
}

/** As an author does: a repository, a recipe into it, then what its pipeline runs. */
describe('the recipes', function () {
  this.timeout(4 * PATIENT_MS);
  let folder: ReturnType<typeof emptyFolder>;

  const policy = async (...args: string[]) => {
    const { code, out, err } = await lemma(folder.path, ['policy', ...args, '--json']);
    const { error_code, data } = JSON.parse(out);
    assert.equal(code, 0, `${args.join(' ')}: ${error_code}\n${JSON.stringify(data, null, 2)}${err}`);
    return data;
  };

  before(function () {
    if (!wasmBuilt()) this.skip();
  });
  beforeEach(async () => {
    folder = emptyFolder();
    await policy('init', '.');
  });
  afterEach(() => folder.remove());

  for (const name of RECIPES) {
    it(`${name} is formatted and checked, allows and denies by its own code, and breaks none of the defaults' tests`, async () => {
      const { files } = await policy('recipe', name);
      await policy('fmt');
      await policy('check');
      const { tests, coverage }: Tested = await policy('test', '--coverage');
      const rego = (files as string[]).find((file) => file.endsWith('.rego') && !file.endsWith('_test.rego'));
      const text = readFileSync(join(folder.path, 'policies', rego ?? ''), 'utf8');
      const codes = [...text.matchAll(/^deny contains "(\w+)"/gm)].map(([, code]) => code);
      const stem = name.replaceAll('-', '_');
      const own = tests.filter((test) => test.package.endsWith(`_${stem}_test`)).map((test) => test.name);
      assert.ok(codes.length === 1 && codes[0]?.startsWith('x_'), `codes: ${codes.join(', ')}`);
      assert.ok(own.some((test) => test.startsWith('test_allows_')));
      assert.ok(own.some((test) => test.startsWith('test_denies_')));
      assert.deepEqual(
        coverage.not_covered.filter(({ file }) => file === `policies/${rego}`),
        [],
      );
    });

    it(`${name} is in the contract's list`, () => {
      assert.match(readFileSync(join(POLICIES, 'README.md'), 'utf8'), new RegExp(`\\(recipes/${name}/\\)`));
    });
  }

  it('go together: all of them are one set of bundles', async () => {
    for (const name of RECIPES) await policy('recipe', name);
    await policy('check');
    await policy('test');
    const { bundles } = await policy('build', '--out', 'build');
    assert.equal(bundles.length, 3);
    const { metadata } = JSON.parse(readFileSync(join(folder.path, 'policies/high/.manifest'), 'utf8'));
    assert.deepEqual([metadata.lemma.headers, metadata.lemma.record], [['x-client-country'], 'durable']);
  });

  it('are listed', async () => {
    const { recipes } = await policy('recipe');
    assert.deepEqual(
      (recipes as { name: string; summary: string }[]).map(({ name }) => name),
      RECIPES,
    );
    assert.ok((recipes as { summary: string }[]).every(({ summary }) => /^[A-Z].*\.$/.test(summary)));
  });

  it('are taken once', async () => {
    await policy('recipe', 'upstreams');
    const { code, out } = await lemma(folder.path, ['policy', 'recipe', 'upstreams', '--json']);
    assert.deepEqual([code, JSON.parse(out).error_code], [1, 'recipe_taken']);
  });

  it("do not change the package's own policies", async () => {
    const { code, out } = await lemma(join(folder.path, 'schemas'), [
      'policy',
      'recipe',
      'upstreams',
      '--json',
    ]);
    assert.deepEqual([code, JSON.parse(out).error_code], [2, 'folder_missing']);
  });

  it('that are none are refused, with those that are', async () => {
    const { code, err } = await lemma(folder.path, ['policy', 'recipe', 'step']);
    assert.equal(code, 2);
    assert.match(err, /there is no recipe step: break-glass, .*step-up/);
  });
});
