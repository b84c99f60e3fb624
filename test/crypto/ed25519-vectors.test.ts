import assert from 'node:assert/strict';
import { fromBase64, fromBase64url, toBase64url } from '../../src/crypto/base64url.ts';
import bytes from '../vectors/bytes.json' with { type: 'json' };
import rfc8032 from '../vectors/rfc8032.json' with { type: 'json' };
import rfc9421 from '../vectors/rfc9421.json' with { type: 'json' };
import { eachEngine, hex, unanimous } from './engines.ts';

describe('Ed25519 by known answers', () => {
  for (const vector of rfc8032.vectors) {
    const [seed, key, message, signature] = [
      hex(vector.seed),
      hex(vector.key),
      hex(vector.message),
      hex(vector.signature),
    ] as const;

    it(`derives the key of RFC 8032 ${vector.name}`, () => {
      assert.deepEqual(
        eachEngine((e) => e.publicKeyOf(seed)),
        unanimous(key),
      );
    });

    it(`makes the signature of RFC 8032 ${vector.name}`, () => {
      assert.deepEqual(
        eachEngine((e) => e.sign(message, seed)),
        unanimous(signature),
      );
    });

    it(`verifies RFC 8032 ${vector.name}`, () => {
      assert.deepEqual(
        eachEngine((e) => e.verify(signature, message, key)),
        unanimous(true),
      );
    });
  }

  it('derives test-key-ed25519 of RFC 9421 B.1.4', () => {
    const seed = fromBase64url(rfc9421.key.d) ?? assert.fail();
    assert.deepEqual(
      eachEngine((e) => toBase64url(e.publicKeyOf(seed))),
      unanimous(rfc9421.key.x),
    );
  });

  it('verifies RFC 9421 B.2.6', () => {
    const signature = fromBase64(rfc9421.signature) ?? assert.fail();
    const key = fromBase64url(rfc9421.key.x) ?? assert.fail();
    const base = new TextEncoder().encode(rfc9421.base);
    assert.deepEqual(
      eachEngine((e) => e.verify(signature, base, key)),
      unanimous(true),
    );
  });

  for (const [name, key] of Object.entries(bytes.keys)) {
    it(`derives the ${name} key of bytes.json`, () => {
      assert.deepEqual(
        eachEngine((e) => toBase64url(e.publicKeyOf(hex(key.seed)))),
        unanimous(key.x),
      );
    });
  }

  for (const { lemma, signed_bytes } of bytes.links) {
    it(`verifies the ${lemma.type} link ${lemma.id} of bytes.json`, () => {
      const issuer =
        Object.values(bytes.keys).find((key) => key.thumbprint === lemma.issuer) ?? assert.fail();
      const key = fromBase64url(issuer.x) ?? assert.fail();
      const signature = fromBase64url(lemma.signature) ?? assert.fail();
      const signed = new TextEncoder().encode(signed_bytes);
      assert.deepEqual(
        eachEngine((e) => e.verify(signature, signed, key)),
        unanimous(true),
      );
    });
  }
});
