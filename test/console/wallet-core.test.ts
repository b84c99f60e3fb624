import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { verifyEd25519 } from '#runtime';
import {
  isSealed,
  openByPasskey,
  openByPassphrase,
  randomly,
  type Sealed,
  sealByPasskey,
  sealByPassphrase,
  WrongKey,
} from '../../src/console/wallet/seal.ts';
import { entryAt, hostIn, walletSigner } from '../../src/console/wallet/site.ts';
import { secretOfWords, typedWords, WordsError, wordsOf } from '../../src/console/wallet/words.ts';
import { fromBase64url, toBase64url } from '../../src/crypto/base64url.ts';
import { signInBytes } from '../../src/proof/sign-in.ts';

/** From the table of BIP-39's reference implementation (trezor/python-mnemonic, vectors.json), 256 bits. */
const VECTORS = [
  ['00'.repeat(32), `${'abandon '.repeat(23)}art`],
  [
    '7f'.repeat(32),
    `${'legal winner thank year wave sausage worth useful '.repeat(2)}legal winner thank year wave sausage worth title`,
  ],
  ['ff'.repeat(32), `${'zoo '.repeat(23)}vote`],
] as const;
const FAST = { N: 2 ** 10, r: 8, p: 1 };
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));

describe("a wallet's words", () => {
  for (const [hex, words] of VECTORS) {
    it(`are those of BIP-39 for ${hex.slice(0, 4)}…, and back`, () => {
      assert.equal(wordsOf(bytes(hex)).join(' '), words);
      assert.deepEqual(secretOfWords(words), bytes(hex));
    });
  }

  it('may be typed with numbers, commas, capitals and lines', () => {
    const secret = randomly(32);
    const typed = wordsOf(secret)
      .map((word, n) => `${n + 1}. ${word.toUpperCase()}`)
      .join(',\n ');
    assert.deepEqual(secretOfWords(typed), new Uint8Array(secret));
  });

  it('name a word that is none, with its place', () => {
    const words = wordsOf(randomly(32)).with(6, 'abandom').join(' ');
    assert.throws(
      () => secretOfWords(words),
      (error) => error instanceof WordsError && error.place === 7 && /Word 7, “abandom”/.test(error.message),
    );
  });

  it('say how many there are where some are missing', () => {
    assert.throws(() => secretOfWords('abandon '.repeat(12)), /24 words are needed; these are 12/);
  });

  it('notice two that are swapped', () => {
    const [, words] = VECTORS[1];
    const list = typedWords(words);
    assert.throws(() => secretOfWords([list[1], list[0], ...list.slice(2)].join(' ')), /checksum/);
  });
});

describe('a sealed root secret', () => {
  const secret = randomly(32);
  let sealed: Sealed;
  before(async () => {
    sealed = await sealByPassphrase(secret, 'correct horse battery', () => undefined, FAST);
  });

  it('opens by its passphrase', async () => {
    assert.deepEqual(await openByPassphrase(sealed, 'correct horse battery'), new Uint8Array(secret));
  });

  it('does not open by another', async () => {
    await assert.rejects(openByPassphrase(sealed, 'correct horse batterY'), WrongKey);
  });

  it('opens however the keyboard composes the letters', async () => {
    const composed = await sealByPassphrase(secret, 'Gr\u00fc\u00dfe aus Z\u00fcrich', () => undefined, FAST);
    assert.deepEqual(
      await openByPassphrase(composed, 'Gru\u0308\u00dfe aus Zu\u0308rich'),
      new Uint8Array(secret),
    );
  });

  it('does not open where its terms were changed', async () => {
    const { lock } = sealed;
    assert.ok(lock.kind === 'passphrase');
    // The same key, so that only what the ciphertext is bound to differs.
    const other = { ...sealed, lock: { ...lock, note: 'weaker' } };
    await assert.rejects(openByPassphrase(other, 'correct horse battery'), WrongKey);
  });

  it('holds neither the secret nor its words', () => {
    const text = JSON.stringify(sealed);
    assert.ok(!text.includes(toBase64url(secret)));
    assert.ok(!text.includes(Buffer.from(secret).toString('hex')));
  });

  it('is never the same twice', async () => {
    const again = await sealByPassphrase(secret, 'correct horse battery', () => undefined, FAST);
    assert.notEqual(again.ciphertext, sealed.ciphertext);
  });

  it('tells how far the key is made, to its end', async () => {
    const parts: number[] = [];
    await openByPassphrase(sealed, 'correct horse battery', (part) => parts.push(part));
    assert.equal(parts.at(-1), 1);
  });

  it('opens by what its passkey gives, and by nothing else', async () => {
    const prf = randomly(32);
    const lock = {
      kind: 'passkey',
      rp: 'localhost',
      credential: toBase64url(randomly(16)),
      salt: toBase64url(randomly(32)),
    } as const;
    const kept = await sealByPasskey(secret, lock, prf);
    assert.deepEqual(await openByPasskey(kept, prf), new Uint8Array(secret));
    await assert.rejects(openByPasskey(kept, randomly(32)), WrongKey);
  });

  it('is taken from the store only in its own shape', () => {
    const { lock } = sealed;
    assert.ok(isSealed(JSON.parse(JSON.stringify(sealed))));
    for (const broken of [
      null,
      { ...sealed, v: 2 },
      { ...sealed, nonce: '' },
      { ...sealed, ciphertext: sealed.ciphertext.slice(4) },
      { ...sealed, lock: { ...lock, N: 2 ** 30 } },
      { ...sealed, lock: { ...lock, r: -1 } },
      { ...sealed, lock: { ...lock, kind: 'none' } },
    ])
      assert.equal(isSealed(broken), false, JSON.stringify(broken));
  });
});

describe('who a wallet is at a site', () => {
  const secret = bytes(createHash('sha256').update('alice').digest('hex'));

  it('is another at each', () => {
    const [a, b] = [entryAt(secret, 'a.example.com'), entryAt(secret, 'b.example.com')];
    assert.notEqual(a.subject, b.subject);
    assert.notEqual(a.key, b.key);
  });

  it('signs in with the key that it names', async () => {
    const signer = walletSigner(secret, 'localhost');
    const { subject, key } = signer;
    const statement = {
      ...{ origin: 'http://localhost:1', org: 'local', env: 'default', challenge: 'c', expires_at: 1 },
      ...{ subject, key },
    };
    const signature = fromBase64url(await signer.sign(statement)) ?? new Uint8Array();
    assert.ok(verifyEd25519(signature, signInBytes(statement), fromBase64url(key) ?? new Uint8Array()));
  });

  for (const [typed, host] of [
    ['https://Lemma.Example.com:8080/wallet', 'lemma.example.com'],
    ['b\u00fccher.example', 'xn--bcher-kva.example'],
    ['localhost:8080', 'localhost'],
    ['', null],
    ['two words', null],
  ] as const) {
    it(`takes ${JSON.stringify(typed)} for ${host}`, () => assert.equal(hostIn(typed), host));
  }
});
