import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { type Bundle, fileOf } from '../../src/policy/bundle.ts';
import { compileEngine, type Engine } from '../../src/policy/engine.ts';
import { PolicyRegistry } from '../../src/policy/registry.ts';
import { INLINE_DATA_BYTES } from '../../src/policy/thread.ts';
import { plainPolicy } from './plain.ts';
import {
  ALLOWED,
  bytes,
  denial,
  fixture,
  inputError,
  memoryArchive,
  republished,
  say,
  withFile,
} from './support.ts';

const ENTRIES = 100_000;
const SETTINGS = Object.fromEntries(
  Array.from({ length: ENTRIES }, (_, i) => [`user-${i}`, `team-${i % 100}`]),
);

function withSettings(settings: unknown, members: Record<string, unknown> = {}): Bundle {
  const probe = withFile(fixture('hostile'), 'data.json', bytes({ lemma: { low: { settings } } }));
  const metadata = { lemma: { ...probe.manifest.metadata.lemma, ...members } };
  return withFile(probe, '.manifest', bytes({ ...probe.manifest, metadata }));
}

describe('a policy with 100,000 entries of data', () => {
  const bundle = withSettings(SETTINGS);
  let engine: Engine;

  before(async () => {
    engine = await compileEngine(bundle);
  });

  const looks = [0, 1, 777, ENTRIES - 1].map((i) => bytes({ attack: 'none', look: `user-${i}` }));
  const failing = bytes({ attack: 'range', size: 1_000_000 });

  it('finds an entry', () => {
    assert.equal(engine.evaluate(bytes({ attack: 'none', look: 'user-777' })).result.message, 'team-77');
  });

  it('gives what a plainly loaded one gives', () => {
    const plain = plainPolicy(bundle);
    for (const input of looks) assert.equal(engine.evaluate(input).resultJson, plain(input));
  });

  it('gives the same after failures, with and without a spare at hand', async () => {
    const expected = looks.map((input) => engine.evaluate(input));
    for (const turns of [0, 0, 1, 3]) {
      assert.throws(() => engine.evaluate(failing), denial('policy_timeout'));
      for (let i = 0; i < turns; i++) await turn();
      assert.deepEqual(
        looks.map((input) => engine.evaluate(input)),
        expected,
      );
    }
  });

  it('has its data parsed in a thread, beside which other policies are asked', async () => {
    const registry = new PolicyRegistry(memoryArchive());
    const trusted = { kind: 'pinned', digests: new Set([bundle.sha256]) } as const;
    const other = await compileEngine(fixture('probe'));
    const started = once(process, 'worker');
    const activated = registry.activate([bundle], trusted);
    const [worker] = (await started) as [Worker];
    const parsed = once(worker, 'message').then(() => 'parsed');
    await once(worker, 'online');
    assert.equal(await Promise.race([parsed, turn('still parsing')]), 'still parsing');
    assert.deepEqual(say(other, ALLOWED).result, ALLOWED);
    assert.equal(await parsed, 'parsed');
    await activated;
  });

  it('needs no thread where its data are few', async () => {
    let threads = 0;
    const count = () => {
      threads++;
    };
    process.on('worker', count);
    await compileEngine(fixture('probe'));
    process.off('worker', count);
    assert.equal(threads, 0);
  });

  it('is refused where it does not fit into the memory, with the mend', async () => {
    const scarce = withSettings(SETTINGS, { memory_pages: 64 });
    await assert.rejects(compileEngine(scarce), inputError(/data\.json: .*memory_pages/));
  });

  it('stays in force when the next one does not fit', async () => {
    const scarce = republished(withSettings(SETTINGS, { memory_pages: 64 }), 9, 'low-9');
    const registry = new PolicyRegistry(memoryArchive());
    const digests = new Set([bundle.sha256, scarce.sha256]);
    await registry.activate([bundle], { kind: 'pinned', digests });
    await assert.rejects(
      registry.activate([scarce], { kind: 'pinned', digests }),
      denial('bundle_rejected', /memory_pages/),
    );
    assert.equal(registry.active('low').ref.sha256, bundle.sha256);
  });

  it('is large enough to go through a thread', () => {
    assert.ok(fileOf(bundle, 'data.json').length > INLINE_DATA_BYTES);
  });
});
