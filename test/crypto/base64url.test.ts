import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fromBase64, fromBase64url, toBase64, toBase64url } from '../../src/crypto/base64url.ts';

const bytes = fc.uint8Array({ maxLength: 100 });

describe('base64url', () => {
  it('encodes as Node does', () => {
    fc.assert(fc.property(bytes, (b) => assert.equal(toBase64url(b), Buffer.from(b).toString('base64url'))));
  });

  it('encodes more than one call can take as arguments', () => {
    const large = new Uint8Array(300_000).map((_, i) => i);
    assert.equal(toBase64url(large), Buffer.from(large).toString('base64url'));
  });

  it('decodes what it encoded', () => {
    fc.assert(fc.property(bytes, (b) => assert.deepEqual(fromBase64url(toBase64url(b)), b)));
  });

  it('decodes no text but the canonical one', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ABQgw_-+/= \n'), maxLength: 9 }), (text) => {
        const decoded = fromBase64url(text);
        if (decoded !== null) assert.equal(toBase64url(decoded), text);
      }),
      { numRuns: 2000 },
    );
  });

  for (const [name, text] of [
    ['padding', 'AA=='],
    ['the standard alphabet', '+/+/'],
    ['unused bits after two characters', 'AB'],
    ['unused bits after three characters', 'AAB'],
    ['a single character', 'A'],
    ['one character over', 'AAAAA'],
    ['a space', 'AA AA'],
    ['a line end', 'AAAA\n'],
    ['a character above ASCII', 'AAAé'],
    ['a character whose low byte is a letter', 'AAA\u0141'],
    ['NUL', 'AAA\0'],
  ] as const) {
    it(`refuses ${name}`, () => assert.equal(fromBase64url(text), null));
  }
});

describe('base64', () => {
  it('encodes as Node does', () => {
    fc.assert(fc.property(bytes, (b) => assert.equal(toBase64(b), Buffer.from(b).toString('base64'))));
  });

  it('decodes what it encoded', () => {
    fc.assert(fc.property(bytes, (b) => assert.deepEqual(fromBase64(toBase64(b)), b)));
  });

  it('decodes no text but the canonical one', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ABQgw+/=_'), maxLength: 9 }), (text) => {
        const decoded = fromBase64(text);
        if (decoded !== null) assert.equal(toBase64(decoded), text);
      }),
      { numRuns: 2000 },
    );
  });

  for (const [name, text] of [
    ['missing padding', 'AA'],
    ['too little padding', 'AA='],
    ['too much padding', 'AAAA===='],
    ['padding alone', '===='],
    ['padding after one character', 'A==='],
    ['padding in the middle', 'AA==AAAA'],
    ['unused bits', 'AB=='],
    ['the URL alphabet', '_-_-'],
    ['a space', 'AAA AAA='],
  ] as const) {
    it(`refuses ${name}`, () => assert.equal(fromBase64(text), null));
  }
});
