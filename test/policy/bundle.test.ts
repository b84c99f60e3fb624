import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  BUNDLE_LIMITS,
  type Bundle,
  bundleOf,
  readBundleDir,
  readBundleTar,
} from '../../src/policy/bundle.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { bytes, fixture, inputError, withFile } from './support.ts';

describe('bundle', () => {
  const probe = fixture('probe');
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lemma-bundle-test-'));
  });

  afterEach(() => rm(folder, { recursive: true }));

  async function unpack(bundle: Bundle): Promise<void> {
    for (const [path, content] of bundle.files) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    }
  }

  function packed(files: ReadonlyMap<string, Uint8Array>): Uint8Array {
    return gzipSync(writeTar(files));
  }

  function manifestWith(change: object): Bundle {
    return withFile(probe, '.manifest', bytes({ ...probe.manifest, ...change }));
  }

  it('is the same from a folder and from an archive', async () => {
    await unpack(probe);
    assert.deepEqual(await readBundleDir(folder), probe);
  });

  it('is the same with a leading slash, as OPA writes its archives', () => {
    const slashed = new Map([...probe.files].map(([path, content]) => [`/${path}`, content]));
    assert.deepEqual(readBundleTar(packed(slashed)), probe);
  });

  it("is known by its manifest's revision, serial and root", () => {
    const { name, revision, serial } = probe;
    assert.deepEqual(
      { name, revision, serial },
      { name: 'low', revision: probe.manifest.revision, serial: 1 },
    );
  });

  it('has a digest of 64 hex digits', () => {
    assert.match(probe.sha256, /^[0-9a-f]{64}$/);
  });

  describe('another digest', () => {
    for (const path of probe.files.keys()) {
      it(`for a byte more in ${path}`, () => {
        const content = probe.files.get(path) ?? new Uint8Array();
        assert.notEqual(
          withFile(probe, path, bytes(`${Buffer.from(content).toString('latin1')} `)).sha256,
          probe.sha256,
        );
      });
    }

    it('for a file more', () => {
      assert.notEqual(withFile(probe, 'lemma/low/more.rego', bytes('')).sha256, probe.sha256);
    });

    it('for a file less', () => {
      assert.notEqual(withFile(probe, 'lemma/low/probe.rego', null).sha256, probe.sha256);
    });

    it('for a file moved', () => {
      const moved = withFile(
        withFile(probe, 'lemma/low/probe.rego', null),
        'lemma/low/moved.rego',
        new Uint8Array(),
      );
      const emptied = withFile(probe, 'lemma/low/probe.rego', new Uint8Array());
      assert.notEqual(moved.sha256, emptied.sha256);
    });
  });

  it('has the same digest with a signature file beside it', () => {
    assert.equal(withFile(probe, '.lemma-signature.json', bytes('{}')).sha256, probe.sha256);
  });

  describe('refuses', () => {
    for (const path of ['.manifest', 'data.json', 'policy.wasm']) {
      it(`a missing ${path}`, () => {
        assert.throws(() => withFile(probe, path, null), inputError(new RegExp(`${path}: missing`)));
      });
    }

    it('a symbolic link', async () => {
      await unpack(probe);
      await symlink(join(folder, 'data.json'), join(folder, 'linked.json'));
      await assert.rejects(readBundleDir(folder), inputError(/linked\.json: is not a plain file/));
    });

    it('a folder that is not there', async () => {
      await assert.rejects(readBundleDir(join(folder, 'none')), inputError(/ENOENT/));
    });

    it('a file that is too large', async () => {
      await unpack(probe);
      await writeFile(join(folder, 'large.rego'), new Uint8Array(BUNDLE_LIMITS.fileBytes + 1));
      await assert.rejects(readBundleDir(folder), inputError(/large\.rego: is too large/));
    });

    it('too many files', () => {
      const many = new Map(
        Array.from({ length: BUNDLE_LIMITS.files + 1 }, (_, i) => [`f${i}`, new Uint8Array()]),
      );
      assert.throws(() => readBundleTar(packed(many)), inputError(/one more than 256 files/));
    });

    it('an archive that unpacks to too much', () => {
      assert.throws(
        () => readBundleTar(gzipSync(new Uint8Array(64 << 20))),
        inputError(/cannot be unpacked/),
      );
    });

    it('an archive that is none', () => {
      assert.throws(() => readBundleTar(bytes('plain')), inputError(/cannot be unpacked/));
    });

    for (const path of ['../data.json', 'a/../b', './a/./b', 'a//b', 'a b', 'ä', '//etc/passwd']) {
      it(`the path ${path}`, () => {
        assert.throws(
          () => readBundleTar(packed(new Map([[path, bytes('')]]))),
          inputError(/rename the file/),
        );
      });
    }

    it('one path twice', () => {
      const twice = new Map([...probe.files, ['/data.json', bytes('{}')] as const]);
      assert.throws(() => readBundleTar(packed(twice)), inputError(/data\.json: stands twice/));
    });

    it('a manifest that is no JSON', () => {
      assert.throws(() => withFile(probe, '.manifest', bytes('{')), inputError(/\.manifest: is not JSON/));
    });

    it('a manifest with a key twice', () => {
      const twice = bytes('{"revision":"a","revision":"b"}');
      assert.throws(() => withFile(probe, '.manifest', twice), inputError(/\.manifest: has a key twice/));
    });

    it('a manifest that is too large', () => {
      const padded = bytes(`${' '.repeat(BUNDLE_LIMITS.manifestBytes)}{}`);
      assert.throws(
        () => withFile(probe, '.manifest', padded),
        inputError(/\.manifest: has more than 262144/),
      );
    });

    it('every wrong member of a manifest at once', () => {
      const wrong = { revision: 'Not This', rego_version: 0, more: 1 };
      assert.throws(
        () => manifestWith(wrong),
        inputError(/more: unknown member\n.*revision: .*\n.*rego_version: /),
      );
    });

    it('a root that is no profile', () => {
      assert.throws(() => manifestWith({ roots: ['lemma'] }), inputError(/roots\[0\]/));
    });

    it('an entrypoint of another profile', () => {
      const wasm = [{ entrypoint: 'lemma/high/decision', module: '/policy.wasm' }];
      assert.throws(() => manifestWith({ wasm }), inputError(/entrypoint/));
    });

    it('a reason in a file that is not there', () => {
      const lemma = { ...probe.manifest.metadata.lemma, reasons: { x_a: 'lemma/low/none.rego:1' } };
      assert.throws(() => manifestWith({ metadata: { lemma } }), inputError(/reasons\.x_a: no such file/));
    });

    it("data outside the bundle's root", () => {
      const data = bytes({ lemma: { low: {} }, other: {} });
      assert.throws(() => withFile(probe, 'data.json', data), inputError(/data\.json: must be/));
    });
  });

  it('takes its files from memory', () => {
    assert.deepEqual(bundleOf(probe.files), probe);
  });
});
