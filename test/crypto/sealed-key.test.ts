import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { isSealedKey, openSealedKey, SealedKeyError, sealKey } from '../../src/crypto/sealed-key.ts';

describe('a sealed key', () => {
  const seed = new Uint8Array(randomBytes(32));
  let text: string;
  before(async () => {
    text = await sealKey(seed, 'correct horse');
  });

  const altered = (members: Record<string, unknown>) =>
    JSON.stringify({ ...(JSON.parse(text) as object), ...members });

  it('opens with its passphrase', async () => {
    assert.deepEqual(new Uint8Array(await openSealedKey(text, 'correct horse')), seed);
  });

  it('opens with its passphrase in another composition of the same letters', async () => {
    const sealed = await sealKey(seed, 'caf\u00e9');
    assert.deepEqual(new Uint8Array(await openSealedKey(sealed, 'cafe\u0301')), seed);
  });

  it('does not open with another', async () => {
    await assert.rejects(openSealedKey(text, 'correct house'), SealedKeyError);
  });

  it('does not hold the key', () => {
    assert.equal(text.includes(Buffer.from(seed).toString('base64url')), false);
  });

  it('is another text each time', async () => {
    assert.notEqual(await sealKey(seed, 'correct horse'), text);
  });

  for (const [what, members] of [
    ['its bytes altered', { sealed: 'A'.repeat(64) }],
    ['another cost', { n: 32_768 }],
    ['an unheard-of cost', { n: 2 ** 40 }],
    ['an unknown member', { more: 1 }],
    ['another version', { v: 2 }],
  ] as const) {
    it(`with ${what} is refused`, async () => {
      await assert.rejects(openSealedKey(altered(members), 'correct horse'), SealedKeyError);
    });
  }

  it('is told from a plain one', () => {
    assert.deepEqual([isSealedKey(text), isSealedKey('AAAA')], [true, false]);
  });
});
