import assert from 'node:assert/strict';
import type { Worker } from 'node:worker_threads';
import { createShadow, type Shadow, type ShadowOptions } from '../../src/pdp/shadow.ts';
import type { Bundle } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine, type Engine } from '../../src/policy/engine.ts';
import type { BundleArchive } from '../../src/policy/registry.ts';
import type { RecordBody } from '../../src/schema/decision.ts';
import type { PolicyInput } from '../../src/schema/input.ts';
import type { NewDocument } from '../../src/store/model.ts';
import { allowedInput, memoryArchive, republished } from '../policy/support.ts';
import { eventually } from '../support/waiting.ts';
import { recordedLine } from './impact/recorded.ts';
import { told } from './support.ts';

const HOME = { org: 'acme', env: 'prod' };

/** The default policy is shadowed by the told one, which answers what the query's `tell` says. The log is a list. */
describe('the shadow of a policy', () => {
  let archive: BundleArchive;
  let low: Bundle;
  let high: Bundle;
  let engine: Engine;
  let lines: string[];
  let kept: (NewDocument & { readonly version: number }) | null;
  let errors: unknown[];
  let open: Shadow[];
  /** That were begun. */
  let threads: Worker[];
  const begun = (thread: Worker) => void threads.push(thread);

  before(async () => {
    const embedded = await loadEmbedded();
    const found = (name: string) => embedded.find((bundle) => bundle.name === name) as Bundle;
    [low, high] = [found('low'), found('high')];
    engine = await compileEngine(low);
    archive = memoryArchive();
    for (const bundle of [low, high, told, another()]) await archive.put(bundle);
  });
  beforeEach(() => {
    [lines, kept, errors, open, threads] = [[], null, [], [], []];
    process.on('worker', begun);
  });
  afterEach(async () => {
    process.off('worker', begun);
    for (const shadow of open) await shadow.close();
  });

  const another = () => republished(told, 100, 'low-100');
  async function pageOf(within: unknown, after: number, limit: number) {
    assert.equal(within, 'any');
    const records = lines.slice(after, after + limit).map((line) => ({ line }));
    const next = after + records.length;
    return { records, next, done: next >= lines.length };
  }
  function shadowed(more: Partial<ShadowOptions> = {}, streamRecords = pageOf): Shadow {
    const store = {
      streamRecords,
      logEnd: async () => ({ position: lines.length }),
      getDocument: async () => kept,
      async putDocument(document: NewDocument) {
        assert.equal(document.version, kept?.version ?? 0);
        kept = { ...document, version: document.version + 1 };
        return kept.version;
      },
    } as unknown as ShadowOptions['store'];
    const shadow = createShadow({
      ...{ store, archive, home: HOME },
      clock: () => 1234,
      onError: (error) => void errors.push(error),
      ...more,
    });
    open.push(shadow);
    return shadow;
  }
  const decided = (n: number, tell: string, over: Partial<RecordBody> = {}) => {
    const base = allowedInput('low') as unknown as PolicyInput;
    const input = { ...base, request: { ...base.request, query: { tell: [tell] } } };
    return recordedLine(n, engine, input, over);
  };
  const idsOf = (shadow: Shadow, tenant = HOME) =>
    shadow.found(tenant).changes.map(({ decision_id }) => Number(decision_id.slice(-2)));
  const named = ({ name, revision, sha256 }: Bundle) => ({ name, revision, sha256, since: 1234, by: 'ann' });
  const counting = (shadow: Shadow, count: keyof ReturnType<Shadow['counts']>, wanted: number) =>
    eventually(async () => shadow.counts()[count] === wanted);

  it('is asked about what is decided from then on, and what would change is told, the latest first', async () => {
    lines.push(decided(1, 'x_own'));
    const shadow = shadowed();
    await shadow.set([told.sha256], 'ann');
    lines.push(decided(2, 'x_own'), decided(3, 'allow'), decided(4, 'nothing'));
    await counting(shadow, 'error', 1);
    const { same, newly_denied, dropped } = shadow.counts();
    assert.deepEqual([same, newly_denied, dropped, idsOf(shadow)], [1, 1, 0, [4, 2]]);
    assert.deepEqual(shadow.found(HOME).counts, shadow.counts());
  });

  it('tells a tenant of its own changes alone', async () => {
    const shadow = shadowed();
    await shadow.set([told.sha256], 'ann');
    lines.push(
      decided(1, 'x_own'),
      decided(2, 'x_own', { org: 'rival' }),
      decided(3, 'x_own', { env: 'test' }),
    );
    await counting(shadow, 'newly_denied', 3);
    assert.deepEqual(
      [HOME, { ...HOME, org: 'rival' }, { ...HOME, env: 'test' }].map((tenant) => idsOf(shadow, tenant)),
      [[1], [2], [3]],
    );
  });

  it('counts what says nothing of it, and what does not reproduce, and compares on', async () => {
    const shadow = shadowed();
    await shadow.set([told.sha256], 'ann');
    const altered = decided(2, 'x_own').replace('"result":{"allow":true', '"result":{"allow":false');
    lines.push(decided(1, 'allow', { amends: true }), altered, decided(3, 'x_own'));
    await counting(shadow, 'newly_denied', 1);
    const { not_comparable, not_reproduced } = shadow.counts();
    assert.deepEqual([not_comparable, not_reproduced], [1, 1]);
  });

  it('is named with who set it, and when; and is remembered so', async () => {
    const shadow = shadowed();
    const bundles = [named(told)];
    assert.deepEqual(await shadow.set([told.sha256], 'ann'), bundles);
    assert.deepEqual([shadow.bundles(), shadow.found(HOME).bundles], [bundles, bundles]);
    const { version, ...document } = kept ?? {};
    const place = { ...HOME, kind: 'policy_shadow', id: 'now', expires_at: null };
    assert.deepEqual([document, version], [{ ...place, body: { bundles } }, 1]);
  });

  it('is none, and has found nothing, before one is set', () => {
    const { bundles, counts, changes } = shadowed().found(HOME);
    assert.deepEqual([bundles, changes], [[], []]);
    assert.ok(Object.values(counts).every((count) => count === 0));
  });

  it('is one of each profile', async () => {
    const shadow = shadowed();
    const both = [named(told), named(high)];
    assert.deepEqual(await shadow.set([told.sha256, high.sha256], 'ann'), both);
  });

  it('begins anew with another one', async () => {
    const shadow = shadowed();
    await shadow.set([told.sha256], 'ann');
    lines.push(decided(1, 'x_own'));
    await counting(shadow, 'newly_denied', 1);
    await shadow.set([another().sha256], 'ann');
    assert.deepEqual([shadow.counts().newly_denied, idsOf(shadow)], [0, []]);
    lines.push(decided(2, 'x_own'));
    await counting(shadow, 'newly_denied', 1);
    assert.deepEqual(idsOf(shadow), [2]);
  });

  it('ends where none is named', async () => {
    const shadow = shadowed();
    await shadow.set([told.sha256], 'ann');
    assert.deepEqual(await shadow.set([], 'ann'), []);
    assert.deepEqual([shadow.bundles(), kept?.body], [[], { bundles: [] }]);
  });

  it('begins no thread where none is named', async () => {
    const shadow = shadowed();
    await shadow.set([], 'ann');
    await shadow.close();
    assert.equal(threads.length, 0);
  });

  it('is none that is not kept, nor two of one profile; what was there goes on', async () => {
    const shadow = shadowed();
    await shadow.set([told.sha256], 'ann');
    const before = kept;
    assert.equal(await shadow.set([another().sha256, '0'.repeat(64)], 'ben'), 'bundle_unknown');
    assert.equal(await shadow.set([told.sha256, another().sha256], 'ben'), 'profile_twice');
    assert.deepEqual([shadow.bundles(), kept], [[named(told)], before]);
    lines.push(decided(1, 'x_own'));
    await counting(shadow, 'newly_denied', 1);
  });

  it('passes over what came faster than it was evaluated, and counts that', async () => {
    const shadow = shadowed({ behindAtMost: 10 });
    await shadow.set([told.sha256], 'ann');
    lines.push(...Array.from({ length: 700 }, (_, n) => decided(n, 'allow')));
    await counting(shadow, 'same', 510);
    assert.equal(shadow.counts().dropped, 190);
  });

  it('passes nothing over that may wait', async () => {
    const shadow = shadowed({ behindAtMost: 200 });
    await shadow.set([told.sha256], 'ann');
    lines.push(...Array.from({ length: 700 }, (_, n) => decided(n, 'allow')));
    await counting(shadow, 'same', 700);
    assert.equal(shadow.counts().dropped, 0);
  });

  it('keeps the latest thousand changes', async () => {
    const shadow = shadowed();
    await shadow.set([told.sha256], 'ann');
    lines.push(...Array.from({ length: 1010 }, (_, n) => decided(n, 'x_own')));
    await counting(shadow, 'newly_denied', 1010);
    const ids = shadow.found(HOME).changes.map(({ decision_id }) => Number(decision_id.slice(-5)));
    assert.deepEqual([ids.length, ids[0], ids.at(-1)], [1000, 1009, 10]);
  });

  it('says what failed, and goes on behind it', async () => {
    const shadow = shadowed();
    await shadow.set([told.sha256], 'ann');
    lines.push('no record');
    await eventually(async () => {
      lines.push(decided(1, 'allow'));
      return errors.length > 0;
    });
    lines.push(decided(2, 'x_own'));
    await counting(shadow, 'newly_denied', 1);
    assert.match(String(errors), /"no record"/);
    assert.equal(errors.length, 1);
  });

  it('counts what a thread that failed had not judged as passed over', async () => {
    const shadow = shadowed();
    await shadow.set([told.sha256], 'ann');
    lines.push(decided(1, 'allow'), 'no record', decided(2, 'allow'));
    await eventually(async () => {
      lines.push(decided(3, 'allow'));
      return errors.length > 0;
    });
    lines.push(decided(4, 'x_own'));
    await counting(shadow, 'newly_denied', 1);
    const { same, newly_denied, dropped } = shadow.counts();
    assert.equal(same + newly_denied + dropped, lines.length);
  });

  it('goes on after a restart, as it was set', async () => {
    await shadowed().set([told.sha256], 'ann');
    await open[0]?.close();
    const shadow = shadowed({ clock: () => 9999 });
    await shadow.resume();
    lines.push(decided(1, 'x_own'));
    await counting(shadow, 'newly_denied', 1);
    assert.deepEqual(shadow.bundles(), [named(told)]);
  });

  it('is none after a restart where none was set, or its bundle is kept no more', async () => {
    const first = shadowed();
    await first.resume();
    await first.set([told.sha256], 'ann');
    const second = shadowed({ archive: memoryArchive() });
    await second.resume();
    assert.deepEqual(second.bundles(), []);
  });

  it('ends with the service, and stays remembered', async () => {
    const shadow = shadowed();
    await shadow.set([told.sha256], 'ann');
    await shadow.close();
    lines.push(decided(1, 'x_own'));
    assert.deepEqual([shadow.bundles(), errors, kept?.body], [[], [], { bundles: [named(told)] }]);
  });

  it('leaves no thread behind when it ends', async () => {
    const shadow = shadowed();
    await shadow.set([told.sha256], 'ann');
    await shadow.close();
    assert.deepEqual(
      threads.map(({ threadId }) => threadId),
      [-1],
    );
  });

  it('ends although its thread waits for a bundle that does not come, and more lines wait for the thread', async () => {
    const { promise: forever } = Promise.withResolvers<null>();
    const get = (sha256: string) => (sha256 === low.sha256 ? forever : archive.get(sha256));
    let pages = 0;
    const shadow = shadowed({ archive: { get } }, async (_, after) => {
      pages += 1;
      return { records: [{ line: decided(after, 'allow') }], next: after + 1, done: false };
    });
    await shadow.set([told.sha256], 'ann');
    await eventually(async () => pages === 3);
    await shadow.close();
    assert.deepEqual([errors, pages], [[], 3]);
  });

  it('is set anew although one before could not be', async () => {
    let gone = true;
    const get = async (sha256: string) => {
      if (gone) throw new RangeError('the archive is gone');
      return archive.get(sha256);
    };
    const shadow = shadowed({ archive: { get } });
    await assert.rejects(shadow.set([told.sha256], 'ann'), /the archive is gone/);
    gone = false;
    assert.deepEqual(await shadow.set([told.sha256], 'ann'), [named(told)]);
  });

  it('is set by one after the other', async () => {
    const shadow = shadowed();
    await Promise.all([shadow.set([told.sha256], 'ann'), shadow.set([another().sha256], 'ann')]);
    assert.deepEqual(shadow.bundles(), [named(another())]);
  });
});
