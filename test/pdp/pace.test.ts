import assert from 'node:assert/strict';
import { createPace, type Pace } from '../../src/pdp/pace.ts';

const MOST = 512;

describe('the pace of durable decisions', () => {
  let pace: Pace;
  beforeEach(() => {
    pace = createPace();
  });

  /** The limit once so many commits were made, each of half of those under way; milliseconds for the disk and for each. */
  function once(commits: number, disk: number, each: number): number {
    for (let i = 0; i < commits; i++) {
      const records = pace.limit(MOST) / 2;
      pace.committed({ tookMs: disk + records * each, records }, true);
    }
    return pace.limit(MOST);
  }

  it('rises while commits are short', () => {
    assert.equal(once(100, 1, 0.001), MOST);
  });

  it('rises while the disk alone is what is slow', () => {
    assert.equal(once(200, 40, 0.01), MOST);
  });

  it('falls, and stays, while the number of records is what makes commits long', () => {
    const limits = [once(1000, 1, 0.2), once(1, 1, 0.2)];
    assert.ok(
      limits.every((limit) => limit >= 30 && limit <= 45),
      String(limits),
    );
  });

  it('knows what the disk alone takes by many small commits', () => {
    for (let i = 0; i < 100; i++) pace.committed({ tookMs: 2, records: 1 }, false);
    for (let i = 0; i < 20; i++) pace.committed({ tookMs: 6, records: 100 }, true);
    assert.equal(pace.limit(MOST), 16);
  });

  it('keeps a few, however long a commit takes', () => {
    for (let i = 0; i < 20; i++) pace.committed({ tookMs: 1000, records: 100 }, true);
    assert.equal(pace.limit(MOST), 16);
  });

  it('does not rise where no more would come', () => {
    for (let i = 0; i < 100; i++) pace.committed({ tookMs: 1, records: 1 }, false);
    assert.equal(pace.limit(MOST), 64);
  });

  it('never exceeds what the deployment allows', () => {
    assert.equal(pace.limit(8), 8);
  });
});
