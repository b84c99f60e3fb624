import assert from 'node:assert/strict';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { type Serving, serving } from '../support/serving.ts';
import { emptyFolder, lemma } from './lemma.ts';

const POLICIES = fileURLToPath(new URL('../../policies', import.meta.url));
const WRONG =
  'package lemma.low_test\n\ntest_wrong if {\n\tdata.lemma.low.decision.allow with input as {}\n}\n';

interface Told {
  readonly ok: boolean;
  readonly error_code: string | null;
  readonly message?: string;
  readonly data: {
    readonly activated?: boolean;
    readonly bundles: readonly {
      readonly serial: number;
      readonly active?: boolean;
      readonly tests: { readonly passed: number; readonly failed: number } | null;
    }[];
  };
}

describe('lemma policy publish --tests', function () {
  this.timeout(2 * PATIENT_MS);
  const folder = emptyFolder();
  let service: Serving;
  before(async function () {
    if (!wasmBuilt()) this.skip();
    cpSync(POLICIES, join(folder.path, 'policies'), { recursive: true });
    service = await serving(folder.path);
    const build = ['build', '--out', 'next', '--sign-key', '.lemma/keys/bundle.key', '--serial', '100'];
    assert.equal((await policy(...build)).code, 0);
  });
  after(async () => {
    await service?.end('SIGTERM');
    folder.remove();
  });

  const policy = async (...args: string[]) => {
    const env = { LEMMA_BASE_URL: service.controlBase, LEMMA_OPERATOR_KEY: service.operatorKey };
    const { code, out, err } = await lemma(folder.path, ['policy', ...args, '--json'], env);
    return { code, told: JSON.parse(out === '' ? err : out) as Told };
  };
  const ofSerial = ({ data }: Told) => data.bundles.filter(({ serial }) => serial === 100);

  it('keeps bundles whose tests fail, puts none into force, and says which failed', async () => {
    writeFileSync(join(folder.path, 'policies/low/wrong_test.rego'), WRONG);
    const { code, told } = await policy('publish', 'next', '--tests', 'policies', '--activate');
    assert.deepEqual([code, told.error_code, told.data.activated], [1, 'tests_failed', false]);
    assert.match(JSON.stringify(told), /low\/wrong_test\.rego:3:1: data\.lemma\.low_test\.test_wrong: fail/);
    const kept = ofSerial((await policy('history')).told);
    assert.deepEqual(
      kept.map(({ active, tests }) => [active, tests?.failed]),
      [
        [false, 0],
        [false, 0],
        [false, 1],
      ],
    );
  });

  it('puts them into force once the tests hold', async () => {
    rmSync(join(folder.path, 'policies/low/wrong_test.rego'));
    const { code, told } = await policy('publish', 'next', '--tests', 'policies', '--activate');
    assert.deepEqual([code, told.data.activated], [0, true]);
    for (const { tests } of told.data.bundles) assert.ok((tests?.passed ?? 0) > 40);
    for (const { active } of ofSerial((await policy('history')).told)) assert.equal(active, true);
  });

  it('refuses a folder without tests', async () => {
    const { code, told } = await policy('publish', 'next', '--tests', 'next');
    assert.deepEqual([code, told.error_code], [2, 'tests_missing']);
  });
});
