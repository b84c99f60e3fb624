import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  emptyBuffer,
  type FeedBuffer,
  fill,
  KEPT,
  type Kept,
  mend,
  passOver,
  show,
  take,
} from '../../src/console/lib/feed-buffer.ts';

const row = (n: number): Kept => ({ key: `node ${n}`, time: n });
const rowsOf = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => row(from + n));
const countOf = ({ rows, waiting, missed, letGo }: FeedBuffer<Kept>) =>
  rows.length + waiting.length + missed + letGo;

describe('what a page has of the feed', () => {
  it('counts each decision once, in order and within its bounds, whatever comes when', () => {
    const step = fc.oneof(
      fc.record({ act: fc.constant('take'), count: fc.integer({ min: 1, max: 3000 }) }),
      fc.record({ act: fc.constant('again'), count: fc.integer({ min: 1, max: 300 }) }),
      fc.record({ act: fc.constant('mend'), count: fc.integer({ min: 1, max: 3000 }) }),
      fc.record({ act: fc.constant('show'), count: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const buffer = emptyBuffer<Kept>();
        let last = 0;
        for (const { act, count } of steps) {
          if (act === 'take') take(buffer, rowsOf(last, last + count));
          // What a stream gave, and an answer gives again.
          if (act === 'again') mend(buffer, rowsOf(Math.max(0, last - count), last).reverse());
          if (act === 'mend') mend(buffer, rowsOf(last, last + count).reverse());
          if (act === 'show') show(buffer);
          if (act === 'take' || act === 'mend') last += count;
          assert.equal(countOf(buffer), last);
          assert.ok(buffer.rows.length <= KEPT && buffer.waiting.length <= KEPT);
          assert.ok(buffer.seen.size <= 2 * KEPT);
        }
        show(buffer);
        assert.deepEqual(
          buffer.rows.map(({ time }) => time),
          rowsOf(Math.max(0, last - KEPT), last)
            .reverse()
            .map(({ time }) => time),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('lets go of the oldest where an answer brings more than there is room for', () => {
    const buffer = emptyBuffer<Kept>();
    take(buffer, rowsOf(KEPT, KEPT + 10));
    mend(buffer, rowsOf(0, KEPT).reverse());
    show(buffer);
    assert.deepEqual([buffer.rows[0]?.time, buffer.rows.at(-1)?.time, buffer.letGo], [KEPT + 9, 10, 10]);
  });

  it('puts older ones that are asked for below, as far as there is room', () => {
    const buffer = emptyBuffer<Kept>();
    take(buffer, rowsOf(KEPT, 2 * KEPT - 100));
    show(buffer);
    fill(buffer, rowsOf(KEPT - 200, KEPT).reverse());
    assert.equal(buffer.rows.length, KEPT);
    assert.equal(buffer.rows.at(-1)?.time, KEPT - 100);
    assert.equal(buffer.letGo, 100);
  });

  it('shows nothing older than what was passed over, and only once it moves', () => {
    const buffer = emptyBuffer<Kept>();
    take(buffer, rowsOf(0, 10));
    show(buffer);
    mend(buffer, rowsOf(100, 110).reverse());
    passOver(buffer, 100);
    assert.equal(buffer.rows.length, 10);
    show(buffer);
    assert.deepEqual(
      buffer.rows.map(({ time }) => time),
      rowsOf(100, 110)
        .reverse()
        .map(({ time }) => time),
    );
    assert.deepEqual([buffer.gap, buffer.letGo], [true, 10]);
  });
});
