import assert from 'node:assert/strict';
import fc from 'fast-check';
import { inBlocks } from '../../../src/pdp/impact/blocks.ts';
import { inputError } from '../../policy/support.ts';

const BLOCK = 256 << 10;

describe('lines in blocks', () => {
  async function* given(chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  }
  async function blocksOf(chunks: readonly (string | Uint8Array)[]): Promise<string[]> {
    const blocks: string[] = [];
    for await (const block of inBlocks(given(chunks))) blocks.push(Buffer.from(block).toString());
    return blocks;
  }

  it('are one block while they are few', async () => {
    assert.deepEqual(await blocksOf(['a\n', 'b\n', 'c']), ['a\nb\nc']);
  });

  it('begin a new one as soon as there is enough', async () => {
    const line = `${'x'.repeat(BLOCK / 2 - 1)}\n`;
    assert.deepEqual(
      (await blocksOf([line, line, line])).map(({ length }) => length),
      [BLOCK, BLOCK / 2],
    );
  });

  it('are none where there is nothing', async () => {
    assert.deepEqual(await blocksOf([]), []);
  });

  it('are in memory of their own', async () => {
    const whole = Buffer.from(`${'x'.repeat(BLOCK)}\ny`);
    for await (const { buffer, byteLength } of inBlocks(given([whole])))
      assert.equal(buffer.byteLength, byteLength);
  });

  it('are refused where one is longer than any record', async () => {
    const chunk = new Uint8Array(32 << 20).fill(0x78);
    assert.equal((await blocksOf([chunk, chunk])).length, 1);
    await assert.rejects(blocksOf([chunk, chunk, 'x']), inputError(/longer than any record/));
  });

  it('are the same bytes, and each but the last ends with a line, wherever the pieces end', async () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 6 });
    const lines = fc.array(fc.integer({ min: 0, max: 200_000 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(pieces, lines, async (sizes, lengths) => {
        const whole = lengths.map((length, n) => String(n % 10).repeat(length)).join('\n');
        const chunks: string[] = [];
        for (let at = 0, n = 0; at < whole.length; n += 1) {
          const size = sizes[n % sizes.length] ?? 1;
          chunks.push(whole.slice(at, at + size));
          at += size;
        }
        const blocks = await blocksOf(chunks);
        assert.equal(blocks.join(''), whole);
        assert.ok(blocks.slice(0, -1).every((block) => block.endsWith('\n')));
        assert.ok(blocks.every((block) => block !== ''));
      }),
      // Smaller ones of a megabyte say no more, and take minutes to find.
      { numRuns: 40, endOnFailure: true },
    );
  });
});
