import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreOpenError } from '../../src/store/errors.ts';
import { openSeen, type SeenPlace, wentBack } from '../../src/store/seen.ts';

const PLACE: SeenPlace = {
  store_id: 'AAAAAAAAAAAAAAAAAAAAAA',
  epoch: 1_790_000_000_000,
  seq: 12,
  record: 900,
};

describe('what was seen of a database', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-seen-'));
    path = join(folder, 'store-seen');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const marked = (...places: readonly SeenPlace[]) => {
    const seen = openSeen(path);
    for (const place of places) seen.mark(place);
    seen.close();
    const again = openSeen(path);
    again.close();
    return again.last();
  };

  it('is nothing at first, in a file for its owner alone', () => {
    assert.equal(marked(), null);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it('is there again for the next process', () => assert.deepEqual(marked(PLACE), PLACE));

  it('goes back within an epoch in neither number', () =>
    assert.deepEqual(marked(PLACE, { ...PLACE, seq: 13, record: 2 }, { ...PLACE, seq: 1, record: 901 }), {
      ...PLACE,
      seq: 13,
      record: 901,
    }));

  it('begins anew with another epoch', () => {
    const next = { ...PLACE, epoch: PLACE.epoch + 1, seq: 1, record: 1 };
    assert.deepEqual(marked(PLACE, next), next);
  });

  it('is nothing where the file holds something else', () => {
    writeFileSync(path, 'v1 half of a li');
    assert.equal(marked(), null);
  });

  it('follows no link', () => {
    symlinkSync(join(folder, 'elsewhere'), path);
    assert.throws(() => openSeen(path), StoreOpenError);
  });

  for (const [what, found, expected] of [
    ['the same place', PLACE, false],
    ['a later event and record', { ...PLACE, seq: 13, record: 901 }, false],
    ['an earlier event', { ...PLACE, seq: 11, record: 901 }, true],
    ['an earlier record', { ...PLACE, seq: 13, record: 899 }, true],
    ['an earlier epoch', { ...PLACE, epoch: PLACE.epoch - 1, seq: 99 }, true],
    ['a later epoch, which begins anew', { ...PLACE, epoch: PLACE.epoch + 1, seq: 1, record: 0 }, false],
    ['another database', { ...PLACE, store_id: 'B', seq: 0, record: 0 }, false],
  ] as const)
    it(`tells that ${what} ${expected ? 'is older' : 'is not older'}`, () =>
      assert.equal(wentBack(PLACE, found), expected));
});
