import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readTar, writeTar } from '../../src/policy/tar.ts';
import { bytes, inputError } from './support.ts';

const one = () => writeTar(new Map([['a/b.txt', bytes('hello')]]));

/** With the header's checksum made right again. */
function edited(tar: Uint8Array, edit: (header: Uint8Array) => void): Uint8Array {
  const copy = tar.slice();
  edit(copy);
  copy.fill(0x20, 148, 156);
  const sum = copy.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  copy.set(bytes(`${sum.toString(8).padStart(6, '0')}\0 `), 148);
  return copy;
}

describe('tar', () => {
  it('reads what it wrote', () => {
    const path = fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8}){0,3}$/);
    fc.assert(
      fc.property(fc.dictionary(path, fc.uint8Array({ maxLength: 1500 })), (files) => {
        const sorted = Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1));
        assert.deepEqual(readTar(writeTar(new Map(sorted))), sorted);
      }),
    );
  });

  it('is the same whatever the order of the files', () => {
    const files: [string, Uint8Array][] = [
      ['b', bytes('1')],
      ['a', bytes('2')],
    ];
    assert.deepEqual(writeTar(new Map(files)), writeTar(new Map(files.toReversed())));
  });

  for (const [kind, type] of [
    ['hard link', '1'],
    ['symbolic link', '2'],
    ['device', '3'],
    ['pax header', 'x'],
  ] as const) {
    it(`refuses a ${kind}`, () => {
      const tar = edited(one(), (header) => header.set(bytes(type), 156));
      assert.throws(() => readTar(tar), inputError(/a\/b\.txt: is neither/));
    });
  }

  it('passes over a folder', () => {
    const folder = edited(writeTar(new Map([['a', new Uint8Array()]])), (header) =>
      header.set(bytes('5'), 156),
    );
    assert.deepEqual(readTar(Buffer.concat([folder.subarray(0, 512), one()])), [['a/b.txt', bytes('hello')]]);
  });

  it('refuses a changed header', () => {
    const tar = one();
    tar.set(bytes('x'), 0);
    assert.throws(() => readTar(tar), inputError(/bad header/));
  });

  it('refuses a file that is cut off', () => {
    const tar = edited(one(), (header) => header.set(bytes('00000100000'), 124));
    assert.throws(() => readTar(tar), inputError(/cut off/));
  });

  it('refuses an archive without its end', () => {
    assert.throws(() => readTar(one().subarray(0, 1024)), inputError(/no end mark/));
  });
});
