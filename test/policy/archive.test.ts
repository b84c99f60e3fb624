import assert from 'node:assert/strict';
import { once } from 'node:events';
import { gunzipSync, gzipSync } from 'node:zlib';
import { storeArchive } from '../../src/policy/archive.ts';
import { BUNDLE_LIMITS, type Bundle, loadBundle } from '../../src/policy/bundle.ts';
import { writeTar } from '../../src/policy/tar.ts';
import type { NewBundle } from '../../src/store/model.ts';
import { bytes, fixture, inputError, withFile } from './support.ts';

const SETTINGS = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`user-${i}`, i]));

/** What the store does with bundles, in memory. */
function archive(known: readonly string[] = []) {
  const stored = new Map<string, NewBundle>();
  const looked: string[] = [];
  const store: Parameters<typeof storeArchive>[0] = {
    putBundle: async (bundle) => void stored.set(bundle.sha256, bundle),
    getBundle: async (sha256) => {
      looked.push(sha256);
      const bundle = stored.get(sha256);
      return bundle === undefined ? null : { ...bundle, activated_at: null, active: false };
    },
  };
  const kept = storeArchive(store, known);
  return { stored, looked, kept };
}

/** The same bytes once more: `loadBundle` takes what it is given. */
function copied({ files }: Bundle): Map<string, Uint8Array> {
  return new Map([...files].map(([path, content]) => [path, new Uint8Array(content)]));
}

describe('large bundles', () => {
  const large = withFile(fixture('hostile'), 'data.json', bytes({ lemma: { low: { settings: SETTINGS } } }));

  it('are looked at in a thread, and are the same', async () => {
    const started = once(process, 'worker');
    const bundle = await loadBundle(copied(large));
    await started;
    assert.deepEqual(bundle, large);
  });

  it('are refused there with the same words', async () => {
    const text = `{"lemma":{"low":{"a":"${'x'.repeat(100_000)}","a":1}}}`;
    const files = copied(large).set('data.json', bytes(text));
    await assert.rejects(loadBundle(files), inputError(/^data\.json: has a key twice in one object/));
  });

  it('come out of the archive as they were put in', async () => {
    const { kept } = archive();
    await kept.put(large);
    assert.deepEqual(await kept.get(large.sha256), large);
  });
});

describe('the archive of bundles', () => {
  it('keeps a tar.gz that depends on nothing but the files', async () => {
    const { kept, stored } = archive();
    const probe = fixture('probe');
    await kept.put(probe);
    const { files } = stored.get(probe.sha256) ?? { files: new Uint8Array() };
    assert.deepEqual(new Uint8Array(gunzipSync(files)), writeTar(probe.files));
  });

  it('packs none that the store has', async () => {
    const probe = fixture('probe');
    const { kept, stored } = archive([probe.sha256]);
    await kept.put(probe);
    assert.equal(stored.size, 0);
  });

  it('reads one that is asked for again only once', async () => {
    const { kept, looked } = archive();
    const probe = fixture('probe');
    await kept.put(probe);
    await Promise.all([kept.get(probe.sha256), kept.get(probe.sha256)]);
    await kept.get(probe.sha256);
    assert.deepEqual(looked, [probe.sha256]);
  });

  it('does not remember that there was none', async () => {
    const { kept } = archive();
    const probe = fixture('probe');
    assert.equal(await kept.get(probe.sha256), null);
    await kept.put(probe);
    assert.deepEqual(await kept.get(probe.sha256), probe);
  });

  it('unpacks no more than a bundle may hold', async () => {
    const { kept, stored } = archive();
    const probe = fixture('probe');
    await kept.put(probe);
    const files = gzipSync(new Uint8Array(2 * BUNDLE_LIMITS.totalBytes));
    stored.set(probe.sha256, { ...probe, files });
    await assert.rejects(kept.get(probe.sha256), { code: 'ERR_BUFFER_TOO_LARGE' });
  });
});
