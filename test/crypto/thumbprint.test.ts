import assert from 'node:assert/strict';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import { thumbprint } from '../../src/crypto/thumbprint.ts';
import bytes from '../vectors/bytes.json' with { type: 'json' };
import rfc9421 from '../vectors/rfc9421.json' with { type: 'json' };

describe('thumbprint', () => {
  const known = { 'RFC 8037 A.3': rfc9421.rfc8037, ...bytes.keys };

  for (const [name, key] of Object.entries(known)) {
    it(`of ${name}`, () => {
      assert.equal(thumbprint(fromBase64url(key.x) ?? assert.fail()), key.thumbprint);
    });
  }

  it('refuses what is not 32 bytes', () => {
    assert.throws(() => thumbprint(new Uint8Array(33)), /^RangeError: key: 33 bytes, must be 32$/);
  });
});
