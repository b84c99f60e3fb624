import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import * as chosen from '#runtime';
import * as node from '../../src/crypto/runtime-node.ts';
import * as portable from '../../src/crypto/runtime-portable.ts';
import { hex } from './engines.ts';

const runtimes = { node, portable };
const chunks = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 });

describe('#runtime', () => {
  it('is the one for Node under Node', () => {
    assert.equal(chosen.sha256, node.sha256);
  });

  it('exports the same names on both sides', () => {
    assert.deepEqual(Object.keys(node).sort(), Object.keys(portable).sort());
  });

  it('is portable: nothing of Node in all that it imports', () => {
    const entry = new URL('../../src/crypto/runtime-portable.ts', import.meta.url);
    assert.deepEqual(
      importsOf(entry).filter((name) => !name.startsWith('@noble/')),
      [],
    );
  });

  it('hashes alike', () => {
    fc.assert(fc.property(chunks, (c) => assert.deepEqual(node.sha256(...c), portable.sha256(...c))));
  });

  it('hashes chunks as one', () => {
    fc.assert(
      fc.property(chunks, (c) =>
        assert.deepEqual(node.sha256(...c), node.sha256(new Uint8Array(Buffer.concat(c)))),
      ),
    );
  });

  it('authenticates alike', () => {
    const keys = fc.uint8Array({ maxLength: 100 });
    fc.assert(
      fc.property(keys, chunks, (key, c) =>
        assert.deepEqual(node.hmacSha256(key, ...c), portable.hmacSha256(key, ...c)),
      ),
    );
  });

  for (const [name, runtime] of Object.entries(runtimes)) {
    it(`${name}: knows SHA-256 of "abc" (FIPS 180-4)`, () => {
      const digest = hex('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
      assert.deepEqual(runtime.sha256(new TextEncoder().encode('abc')), digest);
    });

    it(`${name}: knows HMAC-SHA-256 (RFC 4231, test case 2)`, () => {
      const text = (value: string) => new TextEncoder().encode(value);
      const mac = hex('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
      assert.deepEqual(runtime.hmacSha256(text('Jefe'), text('what do ya want '), text('for nothing?')), mac);
    });

    it(`${name}: gives as many random bytes as asked, over the quota of one call too`, () => {
      for (const n of [0, 16, 65_536, 65_537, 200_000]) assert.equal(runtime.randomBytes(n).length, n);
    });

    it(`${name}: fills random bytes to the end`, () => {
      assert.ok(
        runtime
          .randomBytes(65_600)
          .subarray(-60)
          .some((byte) => byte !== 0),
      );
    });

    it(`${name}: refuses a number of bytes that is none`, () => {
      for (const n of [-1, 1.5, Number.NaN]) assert.throws(() => runtime.randomBytes(n), RangeError);
    });
  }
});

/** Every specifier that is not a file of ours, through all files of ours. */
function importsOf(file: URL, seen = new Set<string>()): string[] {
  if (seen.has(file.href)) return [];
  seen.add(file.href);
  const specifiers = [...readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
    (m) => m[1] ?? '',
  );
  return specifiers.flatMap((name) => (name.startsWith('.') ? importsOf(new URL(name, file), seen) : [name]));
}
