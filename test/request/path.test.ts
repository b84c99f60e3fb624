import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isOrigin } from '../../src/schema/origin.ts';
import { pathCovered, pathProblem } from '../../src/schema/path.ts';

describe('an unambiguous path', () => {
  it('is one that the WHATWG parser leaves as it is', () => {
    const piece = fc.constantFrom(
      'a',
      'Z',
      '0',
      '.',
      '..',
      '/',
      '//',
      '%2e',
      '%2F',
      '%40',
      '%25',
      ';',
      '\\',
      '#',
      '?',
      ' ',
      '\u00e9',
      '-',
      '_',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const path = `/${pieces.join('')}`;
        fc.pre(pathProblem(path) === null);
        assert.equal(new URL(`http://h${path}`).pathname, path);
      }),
      { numRuns: 2_000 },
    );
  });

  it('decodes once and no further', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('%', '2', '5', '6', '1', 'f', 'e', 'a', '/') }),
        (text) => {
          const path = `/${text}`;
          fc.pre(pathProblem(path) === null);
          const once = decodeURIComponent(path.replace(/%(?![0-9a-fA-F]{2})/g, '%25'));
          assert.ok(!/%[0-9a-fA-F]{2}/.test(once), once);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('covers by whole segments', () => {
    assert.deepEqual(
      ['/v1/a', '/v1/a/b', '/v1/ab', '/v1'].map((path) => pathCovered('/v1/a', path)),
      [true, true, false, false],
    );
  });
});

describe('an origin', () => {
  for (const good of [
    'https://a.example',
    'http://a.example:8080',
    'https://127.0.0.1',
    'https://[2001:db8::1]:8443',
    'https://xn--bcher-kva.example',
    'http://localhost:3000',
  ]) {
    it(`${good} is one`, () => assert.equal(isOrigin(good), true));
  }
  for (const bad of [
    'https://a.example:443',
    'https://A.example',
    'https://a.example.',
    'https://a.example/',
    'https://a..example',
    'https://a_b.example',
    'https://[2001:DB8::1]',
    'https://[2001:db8:0::1]',
    'https://0x7f.1',
    'https://-a.example',
    'wss://a.example',
    'https://',
    'null',
  ]) {
    it(`${bad} is none`, () => assert.equal(isOrigin(bad), false));
  }
});
