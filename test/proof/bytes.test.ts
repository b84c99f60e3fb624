import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fromBase64url, toBase64url } from '../../src/crypto/base64url.ts';
import { thumbprint } from '../../src/crypto/thumbprint.ts';
import { operatorSeed, ppidOf, subjectOf } from '../../src/proof/ppid.ts';
import { signedBytes } from '../../src/proof/signing.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { hashOf } from '../support/kit.ts';

interface Facts {
  keys: Record<string, { seed: string; x: string; thumbprint: string }>;
  links: { lemma: Lemma; signed_bytes: string; hash: string }[];
  ppid: { root_secret: string; host: string; ppid: string; operator_seeds: string[] }[];
}

const facts = JSON.parse(readFileSync(new URL('../vectors/bytes.json', import.meta.url), 'utf8')) as Facts;
const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));

describe('byte-level facts of an independent implementation', () => {
  for (const [name, key] of Object.entries(facts.keys)) {
    it(`the thumbprint of the ${name} key`, () => {
      assert.equal(thumbprint(fromBase64url(key.x) ?? new Uint8Array()), key.thumbprint);
    });
  }

  for (const { lemma, signed_bytes, hash } of facts.links) {
    it(`the signed bytes of the ${lemma.type}`, () => {
      assert.equal(new TextDecoder().decode(signedBytes(lemma)), signed_bytes);
    });
    it(`the hash that a child of the ${lemma.type} names`, () => assert.equal(hashOf(lemma), hash));
  }

  for (const { root_secret, host, ppid, operator_seeds } of facts.ppid) {
    it(`the PPID at ${host}`, () => assert.equal(ppidOf(hex(root_secret), host), ppid));
    for (const [n, seed] of operator_seeds.entries()) {
      it(`operator seed ${n} at ${host}`, () => {
        assert.equal(toBase64url(operatorSeed(hex(root_secret), host, n)), toBase64url(hex(seed)));
      });
    }
  }

  it('a root secret of another length is refused', () => {
    for (const length of [31, 33])
      assert.throws(() => ppidOf(new Uint8Array(length), 'localhost'), /32 bytes/);
  });
});

describe('the subject and the keys of a wallet at a site', () => {
  const secret = new Uint8Array(32);

  it('has its PPID as a DID', () => {
    assert.equal(subjectOf(secret, 'a.example'), `did:lemma:${ppidOf(secret, 'a.example')}`);
  });

  for (const n of [-1, 1.5, 2 ** 32, Number.NaN]) {
    it(`has no key number ${n}`, () =>
      assert.throws(
        () => operatorSeed(secret, 'a.example', n),
        new RangeError('n: a whole number from 0 to 2^32 - 1'),
      ));
  }
  it('has a key number 2^32 - 1, which is not number 0', () => {
    const [last, first] = [2 ** 32 - 1, 0].map((n) => operatorSeed(secret, 'a.example', n));
    assert.notDeepEqual(last, first);
  });

  for (const length of [0, 65_536]) {
    it(`is not of a host of ${length} bytes`, () =>
      assert.throws(() => ppidOf(secret, 'a'.repeat(length)), new RangeError('host: 1 to 65535 bytes')));
  }
  for (const length of [1, 65_535]) {
    it(`may be of a host of ${length} bytes`, () =>
      assert.match(ppidOf(secret, 'a'.repeat(length)), /^ppid_[0-9a-f]{64}$/));
  }
});
