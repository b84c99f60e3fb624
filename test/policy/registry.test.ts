import assert from 'node:assert/strict';
import { publicKeyOf } from '#runtime';
import type { Bundle } from '../../src/policy/bundle.ts';
import { EMBEDDED_TRUST, loadEmbedded } from '../../src/policy/embedded.ts';
import { type BundleArchive, PolicyRegistry, type Trust } from '../../src/policy/registry.ts';
import { signBundle } from '../../src/policy/signature.ts';
import {
  ALLOWED,
  allowedInput,
  bytes,
  denial,
  fixture,
  memoryArchive,
  republished,
  say,
  withFile,
} from './support.ts';

const SEED = new Uint8Array(32).fill(7);
const NOW = 1_790_000_000;
const TRUST: Trust = { kind: 'signed', keys: [publicKeyOf(SEED)], now: NOW };

const first = signBundle(fixture('probe'), SEED);
const second = signBundle(republished(first, 2, 'low-2'), SEED);

describe('policy registry', () => {
  let archive: BundleArchive;
  let registry: PolicyRegistry;

  beforeEach(async () => {
    archive = memoryArchive();
    registry = new PolicyRegistry(archive);
    await registry.activate([first], TRUST);
  });

  /** And the running one stays. */
  async function refuses(
    bundles: readonly Bundle[],
    code: string,
    message: RegExp,
    trust = TRUST,
  ): Promise<void> {
    const { ref } = registry.active('low');
    await assert.rejects(registry.activate(bundles, trust), denial(code, message));
    assert.deepEqual(registry.active('low').ref, ref);
  }

  it('gives the active bundle with its metadata', () => {
    const { ref, meta } = registry.active('low');
    assert.deepEqual({ ref: ref.sha256, record: meta.record }, { ref: first.sha256, record: 'behind' });
  });

  it('evaluates the active bundle', () => {
    assert.deepEqual(say(registry.active('low').engine, ALLOWED).result, ALLOWED);
  });

  it('has no policy for a profile without a bundle', () => {
    assert.throws(() => registry.active('critical'), denial('policy_unavailable'));
  });

  it('exchanges a bundle for a newer one', async () => {
    await registry.activate([second], TRUST);
    assert.equal(registry.active('low').ref.revision, 'low-2');
  });

  it('takes the active bundle again', async () => {
    await registry.activate([first], TRUST);
    assert.equal(registry.active('low').ref.sha256, first.sha256);
  });

  it('refuses an older serial', async () => {
    await registry.activate([second], TRUST);
    await refuses([first], 'bundle_rollback', /serial 1; it must be over 2/);
  });

  it('refuses the same serial with another content', () => {
    return refuses([signBundle(republished(first, 1, 'low-1b'), SEED)], 'bundle_rollback', /must be over 1/);
  });

  it('refuses a known revision with another content', () => {
    return refuses(
      [signBundle(republished(first, 3, first.revision), SEED)],
      'bundle_rejected',
      /another content/,
    );
  });

  it('refuses a past revision with another content', async () => {
    await registry.activate([second], TRUST);
    await refuses(
      [signBundle(republished(first, 3, first.revision), SEED)],
      'bundle_rejected',
      /another content/,
    );
  });

  it('refuses an older serial after a restart too', async () => {
    await registry.activate([second], TRUST);
    registry = new PolicyRegistry(archive, registry.marks());
    await assert.rejects(registry.activate([first], TRUST), denial('bundle_rollback'));
  });

  it('refuses an unsigned bundle', () =>
    refuses([republished(fixture('probe'), 2, 'low-2')], 'bundle_rejected', /has no/));
  it('refuses a stripped signature', () => {
    return refuses([withFile(second, '.lemma-signature.json', null)], 'bundle_rejected', /has no/);
  });
  it('refuses a foreign key', () => {
    const foreign = signBundle(second, new Uint8Array(32).fill(9));
    return refuses([foreign], 'bundle_rejected', /not trusted/);
  });
  it('refuses an expired signature', () =>
    refuses([signBundle(second, SEED, NOW)], 'bundle_rejected', /past the end/));
  it('refuses what is not pinned', () =>
    refuses([second], 'bundle_rejected', /not among the pinned/, EMBEDDED_TRUST));
  it('refuses two for one profile', () => {
    const third = signBundle(republished(first, 3, 'low-3'), SEED);
    return refuses([second, third], 'bundle_rejected', /second one/);
  });
  it('refuses a module that does not load', () => {
    const broken = signBundle(withFile(second, 'policy.wasm', bytes('none')), SEED);
    return refuses([broken], 'bundle_rejected', /does not load/);
  });

  it('takes all or none', async () => {
    const [, high] = await loadEmbedded();
    assert.ok(high);
    await refuses([second, high], 'bundle_rejected', /bundle high/);
  });

  it('changes nothing when the archive fails', async () => {
    archive.put = () => Promise.reject(new Error('disk full'));
    await assert.rejects(registry.activate([second], TRUST), /disk full/);
    assert.equal(registry.active('low').ref.sha256, first.sha256);
  });

  it('activates in the order of the calls', async () => {
    const older = registry.activate([second], TRUST);
    const newer = registry.activate([signBundle(republished(first, 3, 'low-3'), SEED)], TRUST);
    await Promise.all([older, newer]);
    assert.equal(registry.active('low').ref.revision, 'low-3');
  });

  it('goes on after a failed activation', async () => {
    const failed = assert.rejects(registry.activate([fixture('probe')], TRUST));
    await registry.activate([second], TRUST);
    await failed;
    assert.equal(registry.active('low').ref.revision, 'low-2');
  });

  describe('past revisions', () => {
    it('still give the same text', async () => {
      const before = say(registry.active('low').engine, ALLOWED).resultJson;
      await registry.activate([second], TRUST);
      const past = await registry.engineFor(first.sha256);
      assert.equal(past && say(past, ALLOWED).resultJson, before);
    });

    it('are found after a restart', async () => {
      const restarted = new PolicyRegistry(archive);
      assert.equal((await restarted.engineFor(first.sha256))?.ref.revision, first.revision);
    });

    it('are the active engine where they are active', async () => {
      assert.equal(await registry.engineFor(first.sha256), registry.active('low').engine);
    });

    it('are compiled once', async () => {
      await registry.activate([second], TRUST);
      const [a, b] = await Promise.all([registry.engineFor(first.sha256), registry.engineFor(first.sha256)]);
      assert.equal(a, b);
    });

    it('are null when never active here', async () => {
      assert.equal(await registry.engineFor(second.sha256), null);
    });

    it('are found once they are archived', async () => {
      await registry.engineFor(second.sha256);
      await archive.put(second);
      assert.equal((await registry.engineFor(second.sha256))?.ref.sha256, second.sha256);
    });

    it('are not taken from an archive that gives another', async () => {
      archive.get = async () => second;
      await assert.rejects(
        new PolicyRegistry(archive).engineFor(first.sha256),
        denial('bundle_rejected', /another digest/),
      );
    });
  });

  describe('rules behind reasons', () => {
    beforeEach(async () => {
      registry = new PolicyRegistry(archive);
      await registry.activate(await loadEmbedded(), EMBEDDED_TRUST);
    });

    it('are shown as they stand in the bundle', async () => {
      const { ref } = registry.active('high');
      const rule = await registry.reasonAt(ref.sha256, 'body_truncated');
      assert.deepEqual(
        [rule?.file, rule?.text],
        [
          'lemma/high/decision.rego',
          'deny contains "body_truncated" if {\n\tlib.caller\n\tlib.body_wanted\n\tnot lib.body_whole\n}',
        ],
      );
    });

    it('of one line are one line', async () => {
      const rule = await registry.reasonAt(registry.active('low').ref.sha256, 'policy_denied');
      assert.equal(rule?.text, 'deny contains "policy_denied" if not admitted');
    });

    it('are null for a code that the profile does not give', async () => {
      assert.equal(await registry.reasonAt(registry.active('low').ref.sha256, 'pop_required'), null);
    });

    it('are null for a name from the prototype', async () => {
      assert.equal(await registry.reasonAt(registry.active('low').ref.sha256, 'constructor'), null);
    });

    it('are null for an unknown bundle', async () => {
      assert.equal(await registry.reasonAt('0'.repeat(64), 'pop_required'), null);
    });
  });

  it('puts the embedded bundles into force', async () => {
    const embedded = new PolicyRegistry(memoryArchive());
    await embedded.activate(await loadEmbedded(), EMBEDDED_TRUST);
    assert.equal(
      embedded.active('critical').engine.evaluate(bytes(allowedInput('critical'))).result.allow,
      true,
    );
  });
});
