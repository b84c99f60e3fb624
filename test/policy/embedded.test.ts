import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EMBEDDED_FOLDER, loadEmbedded } from '../../src/policy/embedded.ts';
import { POLICY_DENIAL_CODES } from '../../src/reason.ts';
import { PROFILES } from '../../src/schema/common.ts';
import { inputError } from './support.ts';

describe('embedded bundles', () => {
  it('are one per profile, in order', async () => {
    assert.deepEqual(
      (await loadEmbedded()).map(({ name }) => name),
      PROFILES,
    );
  });

  it('keep the records that the contract asks for', async () => {
    const records = (await loadEmbedded()).map(({ manifest }) => manifest.metadata.lemma.record);
    assert.deepEqual(records, ['behind', 'durable', 'durable']);
  });

  it('confirm freshness for critical alone', async () => {
    const confirms = (await loadEmbedded()).map(({ manifest }) => manifest.metadata.lemma.confirm);
    assert.deepEqual(confirms, [false, false, true]);
  });

  it('name the rule of every code that policies of ours give', async () => {
    const named = (await loadEmbedded()).flatMap(({ manifest }) =>
      Object.keys(manifest.metadata.lemma.reasons),
    );
    assert.deepEqual([...new Set(named)].sort(), [...POLICY_DENIAL_CODES].sort());
  });

  it('name lines that give the code', async () => {
    for (const { manifest, files } of await loadEmbedded()) {
      for (const [code, place] of Object.entries(manifest.metadata.lemma.reasons)) {
        const [file = '', line] = place.split(':');
        const text = new TextDecoder().decode(files.get(file)).split('\n')[Number(line) - 1];
        assert.ok(text?.startsWith(`deny contains "${code}"`), `${place}: ${text}`);
      }
    }
  });

  describe('in another folder', () => {
    let folder: string;

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'lemma-embedded-test-'));
      await cp(EMBEDDED_FOLDER, folder, { recursive: true });
    });

    afterEach(() => rm(folder, { recursive: true }));

    it('are the same', async () => {
      assert.deepEqual(await loadEmbedded(folder), await loadEmbedded());
    });

    it('are refused with other data', async () => {
      const file = join(folder, 'low', 'data.json');
      await writeFile(file, (await readFile(file, 'utf8')).replace('30000', '90000'));
      await assert.rejects(loadEmbedded(folder), inputError(/bundles\/low: is not the bundle/));
    });

    it('are refused in the place of another', async () => {
      await rm(join(folder, 'critical'), { recursive: true });
      await cp(join(folder, 'low'), join(folder, 'critical'), { recursive: true });
      await assert.rejects(loadEmbedded(folder), inputError(/bundles\/critical: is not the bundle/));
    });

    it('are refused when one is missing', async () => {
      await rm(join(folder, 'high'), { recursive: true });
      await assert.rejects(loadEmbedded(folder), inputError(/ENOENT/));
    });
  });
});
