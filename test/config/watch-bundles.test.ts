import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BundleWatch, watchBundles } from '../../src/config/watch-bundles.ts';

describe('the watch of a folder of bundles', () => {
  let folder: string;
  let events: EventEmitter;
  let calls: number;
  let watch: BundleWatch | undefined;

  const at = (...path: string[]) => join(folder, ...path);
  const told = () => once(events, 'change');

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-test-'));
    for (const name of ['bundles/low', 'bundles/high', 'other/low']) mkdirSync(at(name), { recursive: true });
    events = new EventEmitter();
    calls = 0;
  });
  afterEach(() => {
    watch?.close();
    rmSync(folder, { recursive: true });
  });

  /** Resolves when what it tells at its begin is told. */
  async function watching(source: string): Promise<BundleWatch> {
    const first = told();
    watch = watchBundles(source, () => {
      calls++;
      events.emit('change');
    });
    await first;
    return watch;
  }

  it('tells of a file that is written within a bundle', async () => {
    await watching(at('bundles'));
    const change = told();
    writeFileSync(at('bundles/low/data.json'), '{}');
    await change;
  });

  it('tells once of bundles that are replaced one after the other', async () => {
    await watching(at('bundles'));
    const change = told();
    for (const name of ['low', 'high']) {
      mkdirSync(at(`bundles/.${name}.new`));
      writeFileSync(at(`bundles/.${name}.new/data.json`), '{}');
      renameSync(at('bundles', name), at(`bundles/.${name}.old`));
      renameSync(at(`bundles/.${name}.new`), at('bundles', name));
    }
    await change;
    assert.equal(calls, 2);
  });

  it('tells of what changes in a bundle that was put in the place of another', async () => {
    await watching(at('bundles'));
    const replaced = told();
    renameSync(at('bundles/low'), at('bundles/.low.old'));
    renameSync(at('other/low'), at('bundles/low'));
    await replaced;
    const change = told();
    writeFileSync(at('bundles/low/data.json'), '{}');
    await change;
  });

  it('tells of a link that is turned to another folder', async () => {
    symlinkSync('bundles', at('current'));
    await watching(at('current'));
    const change = told();
    symlinkSync('other', at('next'));
    renameSync(at('next'), at('current'));
    await change;
  });

  it('tells of a folder that was not there', async () => {
    await watching(at('later'));
    const change = told();
    mkdirSync(at('later'));
    await change;
  });

  it('follows to another folder, and tells of it', async () => {
    const followed = await watching(at('bundles'));
    const begun = told();
    followed.follow(at('other'));
    await begun;
    const change = told();
    writeFileSync(at('other/low/data.json'), '{}');
    await change;
  });
});
