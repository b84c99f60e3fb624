import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { filesInDir, filesInTar } from '../../src/policy/bundle.ts';
import { EMBEDDED_FOLDER, loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine } from '../../src/policy/engine.ts';
import { packRegoOnly, regoOnly, regoOnlyOf } from '../../src/policy/rego-only.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { PROFILES } from '../../src/schema/common.ts';
import { opaFolder } from '../support/opa.ts';
import { PATIENT_MS } from './compiler/support.ts';
import { allowedInput, bytes, fixture, inputError, merged, withFile } from './support.ts';

const probe = fixture('probe');

describe('the Rego-only variant of a bundle', () => {
  const manifestOf = (files: ReadonlyMap<string, Uint8Array>) =>
    JSON.parse(new TextDecoder().decode(files.get('.manifest'))) as Record<string, unknown>;

  it('names no WASM, and is otherwise the manifest', () => {
    const { wasm: _wasm, ...rest } = manifestOf(probe.files);
    assert.deepEqual(manifestOf(regoOnly(probe).files), rest);
  });

  for (const path of ['patch.json', 'more/data.json', 'data.yaml', '.signatures.json', 'x/.manifest']) {
    it(`leaves out ${path}, that means something to OPA alone`, () => {
      const { files } = regoOnly(withFile(probe, path, bytes({})));
      assert.deepEqual([...files.keys()].sort(), [...regoOnly(probe).files.keys()].sort());
    });
  }

  it("leaves out Lemma's own signature", () => {
    assert.deepEqual(regoOnly(signBundle(probe, new Uint8Array(32))), regoOnly(probe));
  });

  it('is read back from its archive', () => {
    const plain = regoOnly(probe);
    const read = regoOnlyOf(filesInTar(packRegoOnly(plain)));
    assert.deepEqual([read.name, read.revision, read.files], [plain.name, plain.revision, plain.files]);
  });

  it('is not what a bundle with WASM is read as', () => {
    assert.throws(() => regoOnlyOf(probe.files), inputError(/wasm: unknown member/));
  });

  it('holds no files but its own', () => {
    const files = new Map([...regoOnly(probe).files, ['patch.json', bytes({})] as const]);
    assert.throws(() => regoOnlyOf(files), inputError(/patch\.json: is no part/));
  });

  it('stands beside each embedded bundle', async () => {
    for (const bundle of await loadEmbedded())
      assert.deepEqual(
        await filesInDir(join(EMBEDDED_FOLDER, 'rego', bundle.name)),
        regoOnly(bundle).files,
        bundle.name,
      );
  });

  it('is no bundle to the service', async () => {
    await assert.rejects(loadEmbedded(join(EMBEDDED_FOLDER, 'rego')), inputError(/policy\.wasm: missing/));
  });

  describe('in a stock opa', function () {
    this.timeout(PATIENT_MS);
    const folder = opaFolder();

    for (const profile of PROFILES) {
      for (const [verdict, change] of [
        ['allows', {}],
        ['denies', { request: { method: 'PUT' }, proof: { taint_epoch: 2, pop: { present: false } } }],
      ] as const) {
        it(`${profile} ${verdict} as in Lemma's engine`, async () => {
          const bundle = (await loadEmbedded()).find(({ name }) => name === profile);
          assert.ok(bundle);
          const input = merged(allowedInput(profile), change);
          const { result } = (await compileEngine(bundle)).evaluate(bytes(input));
          assert.equal(result.allow, verdict === 'allows');
          await writeFile(join(folder.path, 'input.json'), JSON.stringify(input));
          const query = `data.lemma.${profile}.decision`;
          const given = join(EMBEDDED_FOLDER, 'rego', profile);
          const { out } = await folder.run('eval', '-f', 'raw', '-b', given, '-i', 'input.json', query);
          assert.deepEqual(JSON.parse(out), result);
        });
      }
    }

    it('stands beside the other profiles, all at once', async () => {
      const given = PROFILES.flatMap((profile) => ['-b', join(EMBEDDED_FOLDER, 'rego', profile)]);
      const { out } = await folder.run('eval', '-f', 'raw', ...given, 'object.keys(data.lemma)');
      assert.deepEqual(JSON.parse(out).sort(), [...PROFILES].sort());
    });
  });
});
